// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"time"

	"flanneld/test/lab"
)

// wireguard is wireguard-go, each host with the other as its one peer. It gets
// this by its configuration socket, as from wg(8).
func wireguard(p *lab.Program, hosts pair, s subject) *path {
	program := find(p, "wireguard-go", "wireguard")
	keys := [2]*ecdh.PrivateKey{wireguardKey(p), wireguardKey(p)}
	built := &path{subject: s}
	for i, h := range hosts.both() {
		peer := hosts.both()[1-i]
		device := "wg" + h.Name // the socket's name contains it, and both hosts share /run
		built.processes = append(built.processes, start(p, h.Namespace, program, "-f", device))
		lab.Eventually(p, 5*time.Second, "wireguard-go to take its configuration", func() error {
			return configure(device, fmt.Sprintf("private_key=%x\nlisten_port=51820\npublic_key=%s\nendpoint=%s:51820\nallowed_ip=10.203.%d.0/24\n",
				keys[i].Bytes(), hex.EncodeToString(keys[1-i].PublicKey().Bytes()), peer.Addr, 2-i))
		})
		h.Exec(p, "ip", "link", "set", device, "mtu", "1420", "up")
		h.Exec(p, "ip", "route", "add", fmt.Sprintf("10.203.%d.0/24", 2-i), "dev", device)
	}
	built.from, built.to = hosts.pods(p, 203, 1420)
	return built
}

func wireguardKey(p *lab.Program) *ecdh.PrivateKey {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		p.Fatalf("make a key: %v", err)
	}
	return key
}

// configure sends settings in wireguard's cross-platform form.
func configure(device, settings string) error {
	conn, err := net.Dial("unix", "/var/run/wireguard/"+device+".sock")
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write([]byte("set=1\n" + settings + "\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	return lab.Expect(strings.TrimSpace(answer) == "errno=0", "it says %q", answer)
}
