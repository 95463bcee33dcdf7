// SPDX-License-Identifier: Apache-2.0

package dist

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"flanneld/internal/config"
	"flanneld/internal/kubernetes"
	"flanneld/internal/kubernetes/kubernetestest"
)

// rule is a rule of RBAC.
type rule struct {
	Groups    []string `yaml:"apiGroups"`
	Resources []string `yaml:"resources"`
	Names     []string `yaml:"resourceNames"`
	Verbs     []string `yaml:"verbs"`
}

// bpffs is where programs are pinned.
const bpffs = "/sys/fs/bpf"

type probe struct {
	HTTP struct {
		Host, Path string
		Port       uint16
	} `yaml:"httpGet"`
}

type container struct {
	Name, Image   string
	Command, Args []string
	Env           []struct{ Name, Value string }
	Mounts        []struct {
		Name        string
		Path        string `yaml:"mountPath"`
		Propagation string `yaml:"mountPropagation"`
	} `yaml:"volumeMounts"`
	Security  struct{ Privileged bool } `yaml:"securityContext"`
	Readiness probe                     `yaml:"readinessProbe"`
	Liveness  probe                     `yaml:"livenessProbe"`
}

// document is what the tests need of an object of the manifest.
type document struct {
	Kind     string
	Metadata struct {
		Name, Namespace string
		Labels          map[string]string
	}
	Data     map[string]string
	Rules    []rule
	RoleRef  struct{ Kind, Name string } `yaml:"roleRef"`
	Subjects []struct{ Kind, Name, Namespace string }
	Spec     struct {
		Selector struct {
			Labels map[string]string `yaml:"matchLabels"`
		}
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Account     string `yaml:"serviceAccountName"`
				HostNetwork bool   `yaml:"hostNetwork"`
				Priority    string `yaml:"priorityClassName"`
				Tolerations []map[string]string
				Init        []container `yaml:"initContainers"`
				Containers  []container
				Volumes     []struct {
					Name      string
					HostPath  struct{ Path string } `yaml:"hostPath"`
					ConfigMap struct{ Name string } `yaml:"configMap"`
					Secret    struct {
						Name string `yaml:"secretName"`
					} `yaml:"secret"`
				}
			}
		}
	}
}

// manifest returns the objects of the manifest by kind. There is one of each.
func manifest(t *testing.T) map[string]document {
	t.Helper()
	all := map[string]document{}
	for decoder := yaml.NewDecoder(strings.NewReader(read(t, "kubernetes/flanneld.yaml"))); ; {
		var d document
		if err := decoder.Decode(&d); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if _, twice := all[d.Kind]; twice {
			t.Errorf("two objects of kind %s", d.Kind)
		}
		all[d.Kind] = d
	}
}

// TestTheManifestHoldsTogether compares names that must be the same.
func TestTheManifestHoldsTogether(t *testing.T) {
	all := manifest(t)
	space, account := all["Namespace"].Metadata.Name, all["ServiceAccount"].Metadata.Name
	for kind, d := range all {
		if clusterWide := slices.Contains([]string{"Namespace", "ClusterRole", "ClusterRoleBinding"}, kind); clusterWide != (d.Metadata.Namespace == "") || !clusterWide && d.Metadata.Namespace != space {
			t.Errorf("%s is in namespace %q", kind, d.Metadata.Namespace)
		}
	}
	for binding, role := range map[string]string{"ClusterRoleBinding": "ClusterRole", "RoleBinding": "Role"} {
		b := all[binding]
		if b.RoleRef.Kind != role || b.RoleRef.Name != all[role].Metadata.Name || len(b.Subjects) != 1 || b.Subjects[0].Name != account || b.Subjects[0].Namespace != space {
			t.Errorf("%s: %+v", binding, b)
		}
	}
	set := all["DaemonSet"].Spec
	pod := set.Template.Spec
	switch {
	case pod.Account != account, !pod.HostNetwork, pod.Priority != "system-node-critical", set.Selector.Labels["app"] != set.Template.Metadata.Labels["app"],
		len(pod.Tolerations) != 1 || pod.Tolerations[0]["operator"] != "Exists" || len(pod.Tolerations[0]) != 1:
		t.Errorf("%+v", set)
	}
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap.Name != "" && v.ConfigMap.Name != all["ConfigMap"].Metadata.Name {
			t.Errorf("no ConfigMap %s", v.ConfigMap.Name)
		}
	}
	for _, c := range append(pod.Init, pod.Containers...) {
		for _, m := range c.Mounts {
			if !volumes[m.Name] {
				t.Errorf("%s mounts %s, which is no volume", c.Name, m.Name)
			}
		}
		if c.Image != pod.Containers[0].Image || c.Command[0] != "/usr/local/bin/flanneld" || !strings.Contains(read(t, "kubernetes/Dockerfile"), "COPY bin/flanneld "+c.Command[0]) {
			t.Errorf("%s runs %v of %s", c.Name, c.Command, c.Image)
		}
	}
	if got, want := all["ConfigMap"].Data["10-flanneld.conflist"], read(t, "10-flanneld.conflist"); strings.Join(strings.Fields(got), "") != strings.Join(strings.Fields(want), "") {
		t.Errorf("the network configuration is not that of 10-flanneld.conflist:\n%s", got)
	}
}

// given are arguments as flags: --name=value, or --name for a switch.
func given(args []string) map[string][]string {
	flags := map[string][]string{}
	for _, a := range args {
		name, value, ok := strings.Cut(strings.TrimPrefix(a, "--"), "=")
		if !ok {
			value = "true"
		}
		flags[name] = append(flags[name], value)
	}
	return flags
}

// TestTheManifestRunsFlanneldWithSettingsThatExist loads its settings, and
// holds these against probes and volumes.
func TestTheManifestRunsFlanneldWithSettingsThatExist(t *testing.T) {
	pod := manifest(t)["DaemonSet"].Spec.Template.Spec
	c := pod.Containers[0]
	environ := map[string]string{}
	var pairs []string
	for _, e := range c.Env {
		environ[e.Name] = e.Value
		pairs = append(pairs, e.Name+"=x")
	}
	environ["NODE_NAME"] = "worker-1"
	if unknown := config.UnknownVariables(pairs); len(unknown) > 0 || c.Args[0] != "run" {
		t.Errorf("%v, %v", unknown, c.Args)
	}
	flags := given(c.Args[1:])
	for name := range flags {
		if _, ok := config.Lookup(name); !ok {
			t.Errorf("there is no --%s", name)
		}
	}
	cfg, err := config.Load(flags, func(name string) (string, bool) { v, ok := environ[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	if source, ok := cfg.Cluster(); !ok || cfg.Founds() || cfg.ClusterNode != "worker-1" || cfg.Network != config.DefaultNetwork {
		t.Errorf("%v, %+v", source, cfg)
	}
	for p, probe := range map[string]probe{"/readyz": c.Readiness, "/healthz": c.Liveness} {
		if at, err := netip.ParseAddr(probe.HTTP.Host); err != nil || probe.HTTP.Path != p || netip.AddrPortFrom(at, probe.HTTP.Port) != cfg.Metrics {
			t.Errorf("%s: %+v, metrics are at %s", p, probe, cfg.Metrics)
		}
	}
	paths := map[string]string{} // on the host, by the path in the container
	var key string
	for _, m := range c.Mounts {
		for _, v := range pod.Volumes {
			if v.Name == m.Name && v.HostPath.Path != "" {
				paths[m.Path] = v.HostPath.Path
			}
			if v.Name == m.Name && v.Secret.Name != "" {
				key = m.Path
			}
		}
	}
	for _, p := range []string{cfg.StateDir, cfg.RunDir, "/run/xtables.lock", "/dev/net/tun", bpffs} {
		if paths[p] != p {
			t.Errorf("%s is not the host's: %v", p, paths)
		}
	}
	for _, m := range c.Mounts { // what flanneld mounts there is to outlive the pod
		if shared := m.Propagation == "Bidirectional"; shared != (m.Path == bpffs) || shared && !c.Security.Privileged {
			t.Errorf("%+v, %+v", m, c.Security)
		}
	}
	if path.Dir(cfg.KeyFile) != key {
		t.Errorf("the key is expected in %s, and its Secret is mounted at %s", cfg.KeyFile, key)
	}
	install := given(pod.Init[0].Args[2:])
	if !slices.Equal(pod.Init[0].Args[:2], []string{"cni", "install"}) || len(install) != 3 || install["bin-dir"][0] != "/host/opt/cni/bin" {
		t.Errorf("%v", pod.Init[0].Args)
	}
}

// allows reports whether the rules of the manifest permit a request.
func allows(all map[string]document, c kubernetestest.Call, used map[string]bool) bool {
	for _, kind := range []string{"ClusterRole", "Role"} {
		if kind == "Role" && c.Namespace != all["Role"].Metadata.Namespace {
			continue
		}
		for i, r := range all[kind].Rules {
			named := len(r.Names) == 0 || slices.Contains(r.Names, c.Name)
			if named && slices.Contains(r.Groups, c.Group) && slices.Contains(r.Resources, c.Resource) && slices.Contains(r.Verbs, c.Verb) {
				used[fmt.Sprint(kind, i, c.Verb)] = true
				return true
			}
		}
	}
	return false
}

// TestTheManifestGrantsWhatIsUsed makes every request that flanneld makes. The
// roles allow each, and nothing else.
func TestTheManifestGrantsWhatIsUsed(t *testing.T) {
	all := manifest(t)
	s := kubernetestest.NewServer("token")
	used, refused := map[string]bool{}, []kubernetestest.Call{}
	s.Allow = func(c kubernetestest.Call) bool {
		if !allows(all, c, used) {
			refused = append(refused, c)
			return false
		}
		return true
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := errors.Join(s.Serve(l), s.Account(dir, all["Namespace"].Metadata.Name, "token")); err != nil {
		t.Fatal(err)
	}
	defer s.Away()
	for _, name := range []string{"a", "b"} {
		s.AddNode(name, "192.0.2.1", "10.244.0.0/24")
		env := s.Environment()
		client, err := kubernetes.InCluster(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		c, err := kubernetes.NewCluster(kubernetes.Config{Client: client, Node: name, Default: config.DefaultNetwork, GossipPort: 8286})
		if err != nil {
			t.Fatal(err)
		}
		_, ownErr := c.Own(t.Context())
		_, seedsErr := c.Seeds(t.Context())
		_, _, foundErr := c.MayFound(t.Context(), "id", netip.MustParseAddrPort("192.0.2.1:8286"))
		err = errors.Join(ownErr, seedsErr, foundErr, c.Report(t.Context(), "id", config.DefaultNetwork), c.Unmark(t.Context()))
		if err != nil || len(refused) > 0 {
			t.Errorf("refused: %v, %v", refused, err)
		}
	}
	for _, kind := range []string{"ClusterRole", "Role"} {
		for i, r := range all[kind].Rules {
			for _, verb := range r.Verbs {
				if !used[fmt.Sprint(kind, i, verb)] {
					t.Errorf("the %s allows to %s %v, and no request needs that", kind, verb, r.Resources)
				}
			}
		}
	}
}
