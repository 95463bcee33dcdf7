package envfile

import (
	"bytes"
	"fmt"
	"strings"
)

// DefaultDockerKey is the name of the variable with all options in one.
const DefaultDockerKey = "DOCKER_OPTS"

// DockerOptions are the options of mk-docker-opts.sh that shape its output.
// The zero value is the script's default.
type DockerOptions struct {
	Individual bool   // -i: one variable an option
	Combined   bool   // -c: all options in one variable; neither means both
	Key        string // -k: the combined variable's name; "" is DefaultDockerKey
	NoIPMasq   bool   // -m: leave --ip-masq out

	// Existing is what the combined variable holds already in the caller's
	// environment; the options are put after it, as the script does.
	Existing string
}

// DockerOpts turns the content of a subnet.env into that of the Docker file,
// as mk-docker-opts.sh does: a variable that is not in env yields no option,
// and --ip-masq is the opposite of FLANNEL_IPMASQ, since only one of the two
// may masquerade.
func DockerOpts(env []byte, o DockerOptions) ([]byte, error) {
	vars, err := variables(env)
	if err != nil {
		return nil, err
	}
	key := o.Key
	if key == "" {
		key = DefaultDockerKey
	}
	if !isName(key) {
		return nil, fmt.Errorf("envfile: %q cannot be a variable's name", key)
	}
	if strings.ContainsAny(o.Existing, "\"\n\\$`") {
		return nil, fmt.Errorf("envfile: %s already holds a value that cannot be quoted: %.60q", key, o.Existing)
	}
	opts, err := dockerOptions(vars, o.NoIPMasq)
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

type dockerOption struct{ name, value string }

// dockerOptions lists the options sorted by name, the order in which the
// script's shell prints them.
func dockerOptions(vars map[string]string, noIPMasq bool) ([]dockerOption, error) {
	var opts []dockerOption
	if subnet := vars["FLANNEL_SUBNET"]; subnet != "" {
		opts = append(opts, dockerOption{"DOCKER_OPT_BIP", "--bip=" + subnet})
	}
	if masq := vars["FLANNEL_IPMASQ"]; masq != "" && !noIPMasq {
		opposite, ok := map[string]string{"true": "false", "false": "true"}[masq]
		if !ok {
			return nil, fmt.Errorf("envfile: FLANNEL_IPMASQ=%q is neither true nor false", masq)
		}
		opts = append(opts, dockerOption{"DOCKER_OPT_IPMASQ", "--ip-masq=" + opposite})
	}
	if mtu := vars["FLANNEL_MTU"]; mtu != "" {
		opts = append(opts, dockerOption{"DOCKER_OPT_MTU", "--mtu=" + mtu})
	}
	return opts, nil
}
