// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"strings"

	"flanneld/internal/control"
)

// Source is where --join looks for nodes that are not known by address.
type Source struct {
	Kind     string // SourceKubernetes, SourceSRV or SourceExec
	Argument string // name of a Lease or "", a DNS name, a command
}

// The kinds of sources, as the value of --join begins.
const (
	SourceKubernetes = "k8s"
	SourceSRV        = "srv"
	SourceExec       = "exec"
)

// String is the form that the flag takes.
func (s Source) String() string { return s.Kind + ":" + s.Argument }

// maxCommand bounds the command of exec:, in bytes.
const maxCommand = 4096

// joinForms are the forms of --join, for errors.
const joinForms = "HOST[:PORT], k8s:, srv:NAME or exec:COMMAND"

// parseSource reads a source. found is false where the text is of another form:
// an address.
func parseSource(text string) (s Source, found bool, err error) {
	kind, argument, colon := strings.Cut(text, ":")
	s = Source{kind, strings.TrimSpace(argument)}
	check := map[string]func() error{SourceKubernetes: s.checkLease, SourceSRV: s.checkName, SourceExec: s.checkCommand}[kind]
	switch {
	case check == nil:
		return Source{}, false, nil
	case !colon:
		return Source{}, false, fmt.Errorf("has no colon; give %s (a host of that name is %s.)", joinForms, kind)
	}
	return s, true, check()
}

// checkLease says what is wrong with the name of a Lease. It may be left out.
func (s Source) checkLease() error {
	if s.Argument == "" {
		return nil
	}
	if !isHostName(s.Argument) || strings.ToLower(s.Argument) != s.Argument || strings.ContainsAny(s.Argument, "_") || strings.HasSuffix(s.Argument, ".") {
		return errors.New("its name is not one of a Lease; write it like k8s: or k8s:blue")
	}
	return nil
}

// checkName says what is wrong with the name of srv:.
func (s Source) checkName() error {
	switch {
	case s.Argument == "":
		return errors.New("has no name; write it like srv:example.org, which has records of _flanneld._tcp.example.org")
	case !isHostName(s.Argument):
		return errors.New("its name is not one of DNS; write it like srv:example.org or srv:_overlay._tcp.example.org")
	}
	return nil
}

// checkCommand says what is wrong with the command of exec:.
func (s Source) checkCommand() error {
	switch {
	case s.Argument == "":
		return errors.New("has no command; write it like exec:/usr/local/bin/list-nodes")
	case len(s.Argument) > maxCommand:
		return fmt.Errorf("its command has more than %d bytes; put it into a script", maxCommand)
	case strings.ContainsAny(s.Argument, "\x00\n\r"):
		return errors.New("its command has more than one line; put it into a script")
	}
	return nil
}

// addSource adds a source once. A node is in one cluster.
func (c *Config) addSource(s Source) error {
	for _, other := range c.Sources {
		switch {
		case other == s:
			return nil
		case other.Kind == SourceKubernetes && s.Kind == SourceKubernetes:
			return fmt.Errorf("%s is given already; a node is in one network of one cluster", other)
		}
	}
	c.Sources = append(c.Sources, s)
	return nil
}

// Cluster returns the source that is a Kubernetes cluster.
func (c Config) Cluster() (s Source, ok bool) {
	for _, s := range c.Sources {
		if s.Kind == SourceKubernetes {
			return s, true
		}
	}
	return Source{}, false
}

// nameByCluster takes the name of this node's Node from NODE_NAME, as manifests
// set it. Without --node-name people see that name, too.
func (c *Config) nameByCluster(lookup func(variable string) (string, bool)) error {
	const variable = "NODE_NAME"
	name, _ := lookup(variable)
	if _, ok := c.Cluster(); !ok || name == "" {
		return nil
	}
	if !isHostName(name) {
		return &Error{Source: variable, Value: name, Reason: "not the name of a Node; take it from the pod's spec.nodeName"}
	}
	c.ClusterNode = name
	if c.NodeName == "" {
		c.NodeName = name[:min(len(name), control.MaxNodeName)]
	}
	return nil
}

// withForms adds the forms of --join to an error about what looks like a source
// of an unknown kind.
func withForms(err error, text string) error {
	kind, argument, colon := strings.Cut(text, ":")
	if !colon || argument == "" || strings.ContainsAny(kind, "/@[") || strings.ContainsAny(argument, "/@:") || strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
		kind == "" || kind[0] < 'a' || strings.Trim(argument, "0123456789") == "" {
		return err
	}
	return fmt.Errorf("%w; give %s", err, joinForms)
}
