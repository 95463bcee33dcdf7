package envfile

import (
	"os/exec"
	"strings"
	"testing"
)

const dockerText = `DOCKER_OPT_BIP="--bip=10.244.7.1/24"
DOCKER_OPT_IPMASQ="--ip-masq=true"
DOCKER_OPT_MTU="--mtu=1472"
DOCKER_OPTS=" --bip=10.244.7.1/24 --ip-masq=true --mtu=1472"
`

func TestDockerOptsAreFlannelsByteForByte(t *testing.T) {
	lines := strings.SplitAfter(dockerText, "\n")
	individual, combined := strings.Join(lines[:3], ""), lines[3]
	for name, c := range map[string]struct {
		env  string
		o    DockerOptions
		want string
	}{
		"default":       {sampleText, DockerOptions{}, dockerText},
		"-i":            {sampleText, DockerOptions{Individual: true}, individual},
		"-c":            {sampleText, DockerOptions{Combined: true}, combined},
		"-i -c":         {sampleText, DockerOptions{Individual: true, Combined: true}, dockerText},
		"-k":            {sampleText, DockerOptions{Combined: true, Key: "DOCKER_NETWORK_OPTIONS"}, "DOCKER_NETWORK_OPTIONS" + strings.TrimPrefix(combined, "DOCKER_OPTS")},
		"-m":            {sampleText, DockerOptions{Combined: true, NoIPMasq: true}, "DOCKER_OPTS=\" --bip=10.244.7.1/24 --mtu=1472\"\n"},
		"--ip-masq":     {strings.Replace(sampleText, "false", "true", 1), DockerOptions{Combined: true}, strings.Replace(combined, "true", "false", 1)},
		"set before":    {sampleText, DockerOptions{Combined: true, Existing: "-D"}, "DOCKER_OPTS=\"-D  --bip=10.244.7.1/24 --ip-masq=true --mtu=1472\"\n"},
		"nothing there": {"", DockerOptions{}, "DOCKER_OPTS=\"\"\n"},
		"only the MTU":  {"FLANNEL_MTU=1450\n", DockerOptions{}, "DOCKER_OPT_MTU=\"--mtu=1450\"\nDOCKER_OPTS=\" --mtu=1450\"\n"},
	} {
		got, err := DockerOpts([]byte(c.env), c.o)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v, got\n%s\nwant\n%s", name, err, got, c.want)
		}
	}
}

func TestDockerOptsRefuseWhatAShellWouldRun(t *testing.T) {
	for name, c := range map[string]struct {
		env string
		o   DockerOptions
	}{
		"masquerade neither way": {"FLANNEL_IPMASQ=maybe\n", DockerOptions{}},
		"command in a value":     {"FLANNEL_SUBNET=`reboot`\n", DockerOptions{}},
		"blank in a value":       {"FLANNEL_SUBNET=\"10.0.0.1/24 --debug\"\n", DockerOptions{}},
		"key is no name":         {sampleText, DockerOptions{Key: "A B"}},
		"key is a command":       {sampleText, DockerOptions{Key: "$(reboot)"}},
		"quote set before":       {sampleText, DockerOptions{Existing: `"; reboot; "`}},
	} {
		if got, err := DockerOpts([]byte(c.env), c.o); err == nil {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestShellGetsTheOptionsFromTheFile(t *testing.T) {
	out, err := exec.Command("sh", "-c", dockerText+"echo $DOCKER_OPTS").Output()
	if err != nil || string(out) != "--bip=10.244.7.1/24 --ip-masq=true --mtu=1472\n" {
		t.Errorf("got %q, %v", out, err)
	}
}
