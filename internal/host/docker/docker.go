// SPDX-License-Identifier: Apache-2.0

// Package docker turns a subnet.env into the options that dockerd is started
// with, as flannel's mk-docker-opts.sh does, byte for byte. Other programs
// source the result in a shell, so it never holds what a shell would expand.
//
// It also divides a lease between docker0 and Docker's other networks, and
// knows what daemon.json has to hold for that.
package docker

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"flanneld/internal/host/envfile"
	"flanneld/internal/valid"
)

// DefaultKey is the name of the variable with all options in one.
const DefaultKey = "DOCKER_OPTS"

// Options are the options of mk-docker-opts.sh that shape its output.
// The zero value is the script's default.
type Options struct {
	Individual bool   // -i: one variable an option
	Combined   bool   // -c: all options in one variable; neither means both
	Key        string // -k: the combined variable's name; "" is DefaultKey
	NoIPMasq   bool   // -m: leave --ip-masq out

	// Part is what docker0 gets of the lease; the script's default is the
	// whole. With None, --bip and --ip-masq are left out: docker0 is elsewhere.
	Part Part

	// Existing is what the combined variable holds already in the caller's
	// environment. The options come after it, as in the script.
	Existing string
}

// Opts turns the content of a subnet.env into the content of the Docker file. A
// variable that env lacks yields no option. --ip-masq is the opposite of
// FLANNEL_IPMASQ, since only one of the two may masquerade.
func Opts(env []byte, o Options) ([]byte, error) {
	vars, err := envfile.Variables(env)
	if err != nil {
		return nil, err
	}
	key := o.Key
	if key == "" {
		key = DefaultKey
	}
	if !valid.Variable(key) {
		return nil, fmt.Errorf("docker: %q cannot be a variable's name", key)
	}
	if strings.ContainsAny(o.Existing, "\"\n\\$`") {
		return nil, fmt.Errorf("docker: %s already holds a value that cannot be quoted: %.60q", key, o.Existing)
	}
	if vars["FLANNEL_SUBNET"], err = partOf(vars["FLANNEL_SUBNET"], o.Part); err != nil {
		return nil, err
	}
	opts, err := listOptions(vars, o.NoIPMasq || o.Part == None)
	if err != nil {
		return nil, err
	}
	both := o.Individual == o.Combined // none chosen, or both
	combined := o.Existing
	if combined != "" {
		combined += " "
	}
	var b bytes.Buffer
	for _, opt := range opts {
		if o.Individual || both {
			fmt.Fprintf(&b, "%s=\"%s\"\n", opt.name, opt.value)
		}
		combined += " " + opt.value
	}
	if o.Combined || both {
		fmt.Fprintf(&b, "%s=\"%s\"\n", key, combined)
	}
	return b.Bytes(), nil
}

// partOf returns what --bip has to be for a part of FLANNEL_SUBNET, "" for no
// --bip. The whole is the value as it is written.
func partOf(subnet string, part Part) (string, error) {
	switch {
	case part == Part{}, subnet == "":
		return subnet, nil
	case part == None:
		return "", nil
	}
	p, err := netip.ParsePrefix(subnet)
	if err != nil {
		return "", fmt.Errorf("docker: FLANNEL_SUBNET=%q is no subnet", subnet)
	}
	if p, err = part.Of(p); err != nil {
		return "", err
	}
	return envfile.FirstAddress(p).String(), nil
}

type option struct{ name, value string }

// listOptions lists the options sorted by name, the order in which the
// script's shell prints them.
func listOptions(vars map[string]string, noIPMasq bool) ([]option, error) {
	var opts []option
	if subnet := vars["FLANNEL_SUBNET"]; subnet != "" {
		opts = append(opts, option{"DOCKER_OPT_BIP", "--bip=" + subnet})
	}
	if masq := vars["FLANNEL_IPMASQ"]; masq != "" && !noIPMasq {
		opposite, ok := map[string]string{"true": "false", "false": "true"}[masq]
		if !ok {
			return nil, fmt.Errorf("docker: FLANNEL_IPMASQ=%q is neither true nor false", masq)
		}
		opts = append(opts, option{"DOCKER_OPT_IPMASQ", "--ip-masq=" + opposite})
	}
	if mtu := vars["FLANNEL_MTU"]; mtu != "" {
		opts = append(opts, option{"DOCKER_OPT_MTU", "--mtu=" + mtu})
	}
	return opts, nil
}
