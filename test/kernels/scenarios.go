package main

// Scenarios of test/e2e that run on every kernel, by the names of their tests:
// one that is renamed or gone is a failure. They are those whose outcome rests
// on the kernel. What rests on flanneld alone is the same on each of them, and
// what measures time cannot be told on an emulated machine.
var (
	// Each call of iptables takes a fifth of a second here. So the short
	// run has the tests in which packets cross the rules, and one of the
	// rules alone.
	shortFirewall = []string{
		"TestRulesAreAddedOnceAndRemovedWhole",
		"TestDocker28LetsTheOverlayPassAndNothingElse",
		"TestSourceAddressIsKeptInsideAndMasqueradedOutside",
	}
	shortScenarios = []string{
		"TestThreeHostsReachEachOther",
		"TestLeaseSurvivesPowerLossOfAllHosts",
		"TestSmallerPathIsAnsweredWithTheRightMTU",
		"TestMasqueradesToTheOutsideAndNotInside",
		"TestStrictReversePathFilterStandsInNothingsWay",
		"TestNetworkOverAnUnderlayThatLosesDelaysAndReorders",
	}
	longScenarios = []string{
		"TestOnlyTheDaemonReachesTheDataPorts",
		"TestTableNeedsNoCommand",
		"TestDataPathIsProvenByPacketsBeforeStatusSaysOK",
		"TestDataPathThatARuleDropsIsReportedOnBothSidesUntilItIsLifted",
		"TestChecksumsThatAreLeftOutWrongOrZero",
		"TestFoundingNodeLeasesASubnetOfTheDefaultNetwork",
		"TestDeviceIsAPersistentMultiQueueTUNWithAddressAndRoute",
		"TestForwardingIsTurnedOnAndSaid",
		"TestSeveralLanesCarryTraffic",
		"TestExtremesDiffer",
		"TestTypeOfServiceCrossesAndCongestionIsTold",
		"TestPathMTUIsLearnedForEachPeer",
		"TestMulticastAndBroadcastAreDroppedAndCounted",
		"TestPacketsWithOptionsArriveWithThem",
		"TestSegmentsHaveIdentificationsOfTheirOwn",
		"TestHostileDatagramsAreDroppedAndCountedByReason",
		"TestContainerCannotSendWithForeignSource",
		"TestSubnetOfNobodyIsNetUnreachable",
		"TestDeadNodeIsHostUnreachableAndItsRouteStays",
		"TestTimeToLiveIsCountedAndExceeded",
		"TestFirstTransferOverASmallerPathIsNoBlackHole",
		"TestPacketLargerThanTheDeviceIsAnsweredByTheKernel",
		"TestIPv6OnTheOverlayIsDroppedAndCounted",
		"TestPlainPeerGetsAndSendsSingleDatagrams",
		"TestStaticPeerSpeaksFlannelsUDPFormatBothWays",
		"TestStaticPeerBehindASmallerPath",
		"TestAddressChangesUnderARunningDaemon",
		"TestUnderlayDeviceThatGoesDownAndUp",
		"TestNothingLeaksToTheDefaultRouteWhileTheDaemonIsDown",
		"TestDeletedDeviceComesBack",
		"TestCleanupRemovesWhatAKilledDaemonLeft",
		"TestClusterKeySealsTheGossip",
		"TestWorksWithoutIptables",
	}
	firewallScenarios = []string{
		"TestMasqueradesToTheOutsideAndNotInside",
		"TestWithoutIPMasqNothingIsMasqueraded",
		"TestRulesComeBackAfterAFlush",
		"TestRulesDoNotGrowByRestarts",
		"TestThreeHostsReachEachOther",
	}
)
