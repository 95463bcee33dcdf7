// SPDX-License-Identifier: Apache-2.0

// Package lab builds small networks of hosts on one machine and runs the real
// flanneld in them. The end-to-end tests, the demonstration and the benchmark
// all stand on it.
//
// A host is a network namespace. Mount, network and process namespaces of its
// own contain each lab ([Enter]), so that nothing remains when the lab ends,
// fails, is interrupted or is killed.
//
//	            outside  203.0.113.10
//	               |
//	               |     203.0.113.1
//	+----------- switch ------------------------------------------+
//	|   bridge br0, 192.168.50.1, the default route of the hosts  |
//	+----+---------------------+---------------------+------------+
//	     | eth0                | eth0                | 192.168.50.13
//	     | 192.168.50.11       | 192.168.50.12      near
//	+----+--------+       +----+--------+            |   192.168.61.0/24, MTU smaller
//	|   host 1    |       |   host 2    |           far
//	|  flannel0   |       |  flannel0   |            |   192.168.60.0/24
//	|  docker0    |       |  docker0    |       +----+--------+
//	|   |    |    |       |   |         |       |   host 3    |  as made by
//	+---+----+----+       +---+---------+       +-------------+  HostBehind
//	    |    |                |
//	   pod  pod              pod              each a namespace of its own
//
// Hosts are usually all on the bridge ([Lab.Host]). [Lab.HostBehind] puts one
// behind two routers, and the leg between them takes smaller packets than
// either end. [Lab.Relay] makes a host's wire lose, double and reorder
// datagrams. [Lab.Weather] makes the kernel do that, and delay them, if it can.
// A host may also run another program: flannel's udp backend
// ([Host.StartPlain]), or only its wire format ([Host.StartSpeaker]).
//
// Everything here reports failures through [TB], which *testing.T satisfies, so
// that a step that goes wrong ends the test with the command and its output.
package lab
