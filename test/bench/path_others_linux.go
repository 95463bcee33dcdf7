package main

import "flanneld/test/lab"

func wireguard(p *lab.Program, hosts pair, s subject) *path {
	find(p, "wireguard-go", "wireguard")
	return nil
}
func flannel(p *lab.Program, hosts pair, s subject) *path { find(p, "flannel"); return nil }
func nebula(p *lab.Program, hosts pair, s subject) *path  { find(p, "nebula"); return nil }
