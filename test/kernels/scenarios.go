// SPDX-License-Identifier: Apache-2.0

package main

// Scenarios of test/e2e that run on every kernel, by the names of their tests:
// a renamed or missing one is a failure. Their outcome depends on the kernel.
// Tests that depend on flanneld alone give the same result on each kernel, and
// tests that measure time cannot run on an emulated machine.
var (
	// Each call of iptables takes a fifth of a second here. So the short
	// run has the tests in which packets cross the rules, and one of the
	// rules alone.
	shortFirewall = []string{
		"TestRulesAreAddedOnceAndRemovedWhole",
		"TestDocker28LetsTheOverlayPassAndNothingElse",
		"TestSourceAddressIsKeptInsideAndMasqueradedOutside",
	}
	// What each kind of device is made of, and whether packets cross.
	shortKernelPaths = []string{
		"TestPeersByVXLANAndDirect",
		"TestIPIP",
		"TestPacketsGoToFlannelAndComeBack",
	}
	// The table as it is made, put back and crossed.
	shortPorts = []string{
		"TestTableLetsMembersPass",
		"TestTableIsPutBack",
		"TestTableDropsWhatCouldPassForAMember",
		"TestGatewaysAreToldFromContainersBridges",
		"TestOtherTablesStay",
	}
	shortScenarios = []string{
		"TestThreeHostsReachEachOther",
		"TestMasqueradesToTheOutsideAndNotInside",
		"TestStrictReversePathFilterDropsNothing",
		"TestNetworkOverAnUnderlayThatLosesDelaysAndReorders",
	}
	longScenarios = []string{
		"TestLeaseSurvivesPowerLossOfAllHosts",
		"TestSmallerPathIsAnsweredWithTheRightMTU",
		"TestKernelPathsOverAnUnderlayThatLosesDelaysAndReorders",
		"TestFlannelHostOfAKernelBackendIsAStaticPeer",
		"TestOnlyTheDaemonReachesTheDataPorts",
		"TestTableNeedsNoCommand",
		"TestDataPathIsProvenByPacketsBeforeStatusSaysOK",
		"TestDataPathThatARuleDropsIsReportedOnBothSidesUntilItIsLifted",
		"TestChecksumsThatAreLeftOutWrongOrZero",
		"TestFoundingNodeLeasesASubnetOfTheDefaultNetwork",
		"TestDeviceIsAPersistentMultiQueueTUNWithAddressAndRoute",
		"TestForwardingIsTurnedOnAndLogged",
		"TestSeveralLanesCarryTraffic",
		"TestExtremesDiffer",
		"TestTypeOfServiceCrossesAndCongestionIsMarked",
		"TestPathMTUIsLearnedForEachPeer",
		"TestMulticastAndBroadcastAreDroppedAndCounted",
		"TestPacketsWithOptionsArriveWithThem",
		"TestSegmentsHaveIdentificationsOfTheirOwn",
		"TestHostileDatagramsAreDroppedAndCountedByReason",
		"TestContainerCannotSendWithForeignSource",
		"TestSubnetWithoutHolderIsNetUnreachable",
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
