// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
)

// Where flannel's plugin looks if the network configuration is silent.
const (
	DefaultSubnetFile = "/run/flannel/subnet.env"
	defaultDataDir    = "/var/lib/cni/flannel"
)

// config is a network configuration, as far as this plugin reads it. Other
// fields are not looked at. The names are flannel's, but for RunDir.
type config struct {
	CNIVersion string `json:"cniVersion"`
	Name       string `json:"name"`
	Type       string `json:"type"`

	SubnetFile string `json:"subnetFile"` // subnet.env
	DataDir    string `json:"dataDir"`    // what ADD keeps for DEL, see attachment
	// RunDir has the daemon's control socket; "" is the folder of SubnetFile.
	RunDir string `json:"runDir"`

	IPAM          map[string]any `json:"ipam"`          // completed for the delegate
	Delegate      map[string]any `json:"delegate"`      // the delegate's own fields
	RuntimeConfig map[string]any `json:"runtimeConfig"` // handed on to the delegate

	PrevResult       map[string]any       `json:"prevResult"`
	ValidAttachments []types.GCAttachment `json:"cni.dev/valid-attachments"`
}

// parse reads a network configuration from standard input.
func parse(stdin []byte) (*config, error) {
	c := &config{}
	if err := json.Unmarshal(stdin, c); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return nil, fail(types.ErrInvalidNetworkConfig, "network configuration: %s is a JSON %s, and must be %s",
				wrong.Field, wrong.Value, kindOf(wrong))
		}
		return nil, fail(types.ErrDecodingFailure, "network configuration: %v", err)
	}
	if c.SubnetFile == "" {
		c.SubnetFile = DefaultSubnetFile
	}
	if c.DataDir == "" {
		c.DataDir = defaultDataDir
	}
	if c.RunDir == "" {
		c.RunDir = filepath.Dir(c.SubnetFile)
	}
	return c, nil
}

// kindOf names what a field has to be in JSON's words.
func kindOf(e *json.UnmarshalTypeError) string {
	switch e.Type.Kind().String() {
	case "string":
		return "a string"
	case "slice":
		return "an array"
	}
	return "an object"
}

// delegated is what the delegate reads from standard input. The result may be
// changed by its owner.
func (c *config) delegated(s *subnets) (map[string]any, error) {
	d := map[string]any{}
	for key, value := range c.Delegate {
		d[key] = value
	}
	kind, isString := d["type"].(string)
	if _, given := d["type"]; !given {
		kind, isString = "bridge", true
	}
	if err := c.checkDelegate(kind, isString); err != nil {
		return nil, err
	}
	if c.RuntimeConfig != nil {
		d["runtimeConfig"] = c.RuntimeConfig
	}
	d["name"], d["type"] = c.Name, kind
	if c.CNIVersion != "" {
		d["cniVersion"] = c.CNIVersion
	}
	setDefault(d, "ipMasq", !s.ipMasq) // if flanneld does not masquerade, the delegate has to
	setDefault(d, "mtu", s.mtu)
	if kind == "bridge" {
		setDefault(d, "isGateway", true)
	}
	ipam, err := c.delegatedIPAM(s)
	if err != nil {
		return nil, err
	}
	d["ipam"] = ipam
	return d, nil
}

func (c *config) checkDelegate(kind string, isString bool) error {
	switch {
	case !isString:
		return fail(types.ErrInvalidNetworkConfig, "network configuration: delegate.type must be a string")
	case kind == c.Type:
		return fail(types.ErrInvalidNetworkConfig, "network configuration: delegate.type is %q, this plugin itself: name another one, such as bridge", kind)
	}
	for _, key := range []string{"name", "ipam"} {
		if _, given := c.Delegate[key]; given {
			return fail(types.ErrInvalidNetworkConfig, "network configuration: delegate.%s is set from the outer %s and the lease: remove it from delegate", key, key)
		}
	}
	return nil
}

// delegatedIPAM adds the subnets of this host, and the routes to the network.
func (c *config) delegatedIPAM(s *subnets) (map[string]any, error) {
	ipam := map[string]any{}
	for key, value := range c.IPAM {
		ipam[key] = value
	}
	setDefault(ipam, "type", "host-local")
	ranges := [][]map[string]string{}
	for _, own := range s.own {
		ranges = append(ranges, []map[string]string{{"subnet": own.String()}})
	}
	ipam["ranges"] = ranges
	routes := []types.Route{}
	if given, ok := ipam["routes"]; ok {
		text, err := json.Marshal(given)
		if err == nil {
			err = json.Unmarshal(text, &routes)
		}
		if err != nil {
			return nil, fail(types.ErrInvalidNetworkConfig, "network configuration: ipam.routes is no list of routes ({\"dst\": SUBNET, \"gw\": ADDRESS}): %v", err)
		}
	}
	for _, network := range s.networks {
		routes = append(routes, types.Route{Dst: ipNet(network)})
	}
	ipam["routes"] = routes
	return ipam, nil
}

func setDefault(m map[string]any, key string, value any) {
	if _, given := m[key]; !given {
		m[key] = value
	}
}

// encode writes a delegate's configuration. Keys are sorted.
func encode(delegated map[string]any) ([]byte, error) {
	text, err := json.Marshal(delegated)
	if err != nil {
		return nil, fail(types.ErrDecodingFailure, "cannot write the delegate's configuration: %v", err)
	}
	return text, nil
}

// decode reads what encode has written, and what is laid over it.
func decode(text []byte, over map[string]any) (map[string]any, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New("it is empty")
	}
	var d map[string]any
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	if kind, _ := d["type"].(string); kind == "" {
		return nil, errors.New("it names no plugin")
	}
	return laidOver(d, over), nil
}

// laidOver sets fields of m, and returns it.
func laidOver(m, over map[string]any) map[string]any {
	for key, value := range over {
		m[key] = value
	}
	return m
}

// leaseIn is the subnets in a delegate's configuration, for comparison and for
// messages.
func leaseIn(delegated map[string]any) string {
	ipam, _ := delegated["ipam"].(map[string]any)
	text, _ := json.Marshal(ipam["ranges"])
	var ranges [][]struct{ Subnet string }
	if json.Unmarshal(text, &ranges) != nil {
		return "no subnet"
	}
	var all []string
	for _, set := range ranges {
		for _, one := range set {
			all = append(all, one.Subnet)
		}
	}
	return strings.Join(all, ", ")
}

// fail makes an error with one of the specification's codes.
func fail(code uint, format string, args ...any) *types.Error {
	return types.NewError(code, fmt.Sprintf(format, args...), "")
}
