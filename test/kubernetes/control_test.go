// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes

package kubernetes

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// Addresses that clusters commonly have.
const (
	podNetwork     = "10.244.0.0/16" // each node gets a /24
	serviceNetwork = "10.96.0.0/16"
	apiPort        = 6443
)

// control is the control plane: etcd and the API server, and what was started
// besides, on a host of its own.
type control struct {
	t      *testing.T
	host   *lab.Host
	dir    string
	server *process
}

// startControl starts etcd and the API server on a new host, and waits until
// the API server is ready.
func startControl(t *testing.T, l *lab.Lab) *control {
	t.Helper()
	c := &control{t: t, host: l.Host(), dir: filepath.Join(l.Dir(), "control")}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c.writeKeys()
	c.launch("etcd", exec.Command(program("etcd"), "--data-dir", c.path("etcd"), "--log-level", "warn",
		"--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379",
		"--listen-peer-urls", "http://127.0.0.1:2380"))
	c.startServer()
	c.waitServer()
	return c
}

func (c *control) path(name string) string { return filepath.Join(c.dir, name) }

func (c *control) launch(name string, cmd *exec.Cmd) *process {
	c.t.Helper()
	return launch(c.t, c.dir, name, c.host.Namespace.Start, cmd)
}

// writeKeys makes the key of service accounts and a token for each component.
// The API server makes its own certificate.
func (c *control) writeKeys() {
	c.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		c.t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write("sa.key", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	c.write("sa.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	tokens := []string{
		"admin-token,admin,1,system:masters",
		"controller-token,system:kube-controller-manager,2",
		"scheduler-token,system:kube-scheduler,3",
		"proxy-token,system:kube-proxy,4",
	}
	for i := range 12 {
		name := fmt.Sprintf("host%d", i+1)
		tokens = append(tokens, fmt.Sprintf("%s-token,system:node:%s,%d,system:nodes", name, name, 10+i))
	}
	c.write("tokens.csv", []byte(strings.Join(tokens, "\n")+"\n"))
	for _, user := range []string{"admin", "controller", "scheduler", "proxy"} {
		c.write(user+".conf", c.kubeconfig(user+"-token"))
	}
}

func (c *control) write(name string, data []byte) {
	c.t.Helper()
	if err := os.WriteFile(c.path(name), data, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// kubeconfig is the file by which a component reaches the API server.
func (c *control) kubeconfig(token string) []byte {
	type object = map[string]any
	data, _ := json.Marshal(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "lab",
		"clusters": []object{{"name": "lab", "cluster": object{"server": c.url(), "certificate-authority": c.path("certificates/apiserver.crt")}}},
		"users":    []object{{"name": "lab", "user": object{"token": token}}},
		"contexts": []object{{"name": "lab", "context": object{"cluster": "lab", "user": "lab"}}},
	})
	return data
}

func (c *control) url() string { return fmt.Sprintf("https://%v:%d", c.host.Addr, apiPort) }

// startServer starts the API server and does not wait.
func (c *control) startServer() {
	c.t.Helper()
	c.server = c.launch("kube-apiserver", exec.Command(program("kube-apiserver"),
		"--etcd-servers=http://127.0.0.1:2379", "--advertise-address="+c.host.Addr.String(), fmt.Sprintf("--secure-port=%d", apiPort),
		"--cert-dir="+c.path("certificates"), "--service-cluster-ip-range="+serviceNetwork, "--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+c.path("sa.pub"),
		"--service-account-signing-key-file="+c.path("sa.key"), "--token-auth-file="+c.path("tokens.csv"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--kubelet-preferred-address-types=InternalIP"))
}

// waitServer waits until the API server says that it is ready.
func (c *control) waitServer() {
	c.t.Helper()
	lab.Eventually(c.t, 60*time.Second, "the API server", func() error {
		if err := c.server.running(); err != nil {
			c.t.Fatal(err)
		}
		_, err := c.tryKubectl("", "get", "--raw", "/readyz", "--request-timeout=2s")
		return err
	})
}

// startControllers starts the controller manager, which gives every node a
// part of the pods' network, and the scheduler.
func (c *control) startControllers() {
	c.t.Helper()
	c.launch("kube-controller-manager", exec.Command(program("kube-controller-manager"),
		"--kubeconfig="+c.path("controller.conf"), "--leader-elect=false", "--use-service-account-credentials=true",
		"--allocate-node-cidrs=true", "--cluster-cidr="+podNetwork, "--node-cidr-mask-size=24", "--service-cluster-ip-range="+serviceNetwork,
		"--service-account-private-key-file="+c.path("sa.key"), "--root-ca-file="+c.path("certificates/apiserver.crt"),
		"--cert-dir="+c.path("controller-certificates"), "--node-monitor-grace-period=20s"))
	c.launch("kube-scheduler", exec.Command(program("kube-scheduler"), "--kubeconfig="+c.path("scheduler.conf"), "--leader-elect=false",
		"--cert-dir="+c.path("scheduler-certificates")))
}

// tryKubectl runs kubectl as the administrator, with input unless it is empty.
func (c *control) tryKubectl(input string, args ...string) (string, error) {
	cmd := exec.Command(program("kubectl"), append([]string{"--kubeconfig=" + c.path("admin.conf"), "--cache-dir=" + c.path("cache")}, args...)...)
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	r := c.host.Namespace.RunCommand(c.t, cmd)
	if r.Status != 0 {
		return r.Stdout, fmt.Errorf("kubectl %s: exit status %d: %s", strings.Join(args, " "), r.Status, strings.TrimSpace(r.Stderr))
	}
	return strings.TrimSpace(r.Stdout), nil
}

// kubectl is tryKubectl for what has to succeed.
func (c *control) kubectl(args ...string) string {
	c.t.Helper()
	out, err := c.tryKubectl("", args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// apply creates or changes objects, in YAML or JSON.
func (c *control) apply(objects string) {
	c.t.Helper()
	if _, err := c.tryKubectl(objects, "apply", "-f", "-"); err != nil {
		c.t.Fatal(err)
	}
}

// get reads an object, or a list, as JSON.
func (c *control) get(into any, args ...string) error {
	out, err := c.tryKubectl("", append([]string{"get", "-o", "json", "--request-timeout=5s"}, args...)...)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), into)
}

// away stops the API server for a time that the returned function ends.
func (c *control) away() (back func()) {
	c.t.Helper()
	c.server.kill()
	if conn, err := c.host.Dial(netip.AddrPortFrom(c.host.Addr, apiPort), time.Second); err == nil {
		conn.Close()
		c.t.Fatal("the API server still answers")
	}
	return func() {
		c.startServer()
		c.waitServer()
	}
}
