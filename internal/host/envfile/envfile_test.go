// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sample is the example of flannel's documentation.
func sample() Subnet {
	return Subnet{
		Network: netip.MustParsePrefix("10.244.0.0/16"),
		Subnet:  netip.MustParsePrefix("10.244.7.1/24"),
		MTU:     1472,
	}
}

const sampleText = `FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.7.1/24
FLANNEL_MTU=1472
FLANNEL_IPMASQ=false
`

const sample6Text = `FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.7.1/24
FLANNEL_IPV6_NETWORK=fd00:244::/48
FLANNEL_IPV6_SUBNET=fd00:244:0:7::1/64
FLANNEL_MTU=1472
FLANNEL_IPMASQ=true
`

func sample6() Subnet {
	s := sample()
	s.Network6, s.Subnet6 = netip.MustParsePrefix("fd00:244::/48"), netip.MustParsePrefix("fd00:244:0:7::1/64")
	s.IPMasq = true
	return s
}

func TestFileIsFlannelsByteForByte(t *testing.T) {
	for want, s := range map[string]Subnet{sampleText: sample(), sample6Text: sample6()} {
		if got := string(s.Bytes()); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if got, err := Parse([]byte(want)); err != nil || got != s {
			t.Errorf("parsed %+v, %v", got, err)
		}
	}
}

func TestFirstAddressIsWhatBIPTakes(t *testing.T) {
	for lease, want := range map[string]string{"10.244.7.0/24": "10.244.7.1/24", "10.244.7.9/24": "10.244.7.1/24", "10.244.7.64/30": "10.244.7.65/30"} {
		got := FirstAddress(netip.MustParsePrefix(lease))
		if got.String() != want {
			t.Errorf("%s: got %s", lease, got)
		}
		if back := (Subnet{Subnet: got}).Lease(); back != netip.MustParsePrefix(lease).Masked() {
			t.Errorf("%s: back %s", lease, back)
		}
	}
}

func TestParseTakesWhatAShellTakes(t *testing.T) {
	text := "# flannel\n\nexport FLANNEL_NETWORK=\"10.244.0.0/16\"\nFLANNEL_SUBNET='10.244.7.1/24'\n" +
		"FLANNEL_MTU=1\nFLANNEL_MTU=1472\r\nFLANNEL_IPMASQ=false\nFLANNEL_NEW=1\nOTHER=$(date)"
	if got, err := Parse([]byte(text)); err != nil || got != sample() {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseRefusesWhatMakesNoSense(t *testing.T) {
	for name, change := range map[string][2]string{
		"no network":     {"FLANNEL_NETWORK=10.244.0.0/16\n", ""},
		"no subnet":      {"FLANNEL_SUBNET=10.244.7.1/24\n", ""},
		"no MTU":         {"FLANNEL_MTU=1472\n", ""},
		"no masquerade":  {"FLANNEL_IPMASQ=false\n", ""},
		"bad subnet":     {"10.244.7.1/24", "10.244.7.1"},
		"bad MTU":        {"1472", "many"},
		"negative MTU":   {"1472", "-1"},
		"bad masquerade": {"IPMASQ=false", "IPMASQ=no"},
		"half of IPv6":   {"FLANNEL_MTU", "FLANNEL_IPV6_NETWORK=fd00::/48\nFLANNEL_MTU"},
		"a command":      {"1472", "$(reboot)"},
		"no assignment":  {"FLANNEL_MTU", "reboot\nFLANNEL_MTU"},
		"a bad name":     {"FLANNEL_MTU", "1FLANNEL=1\nFLANNEL_MTU"},
		"too long":       {"FLANNEL_MTU", "#" + strings.Repeat("x", maxSize) + "\nFLANNEL_MTU"},
	} {
		text := strings.Replace(sampleText, change[0], change[1], 1)
		if s, err := Parse([]byte(text)); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %+v, %v", name, s, err)
		}
	}
}

func TestWriteReplacesTheFileWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "subnet.env")
	if _, err := Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read: %v", err)
	}
	for _, s := range []Subnet{sample6(), sample()} {
		if err := Write(path, s.Bytes()); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(path); err != nil || got != s {
			t.Errorf("got %+v, %v", got, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != Mode {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, sample().Bytes()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != Mode {
		t.Errorf("mode of an older file kept: %v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestWriteNamesTheFileItCannotWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent", "subnet.env")
	if err := Write(path, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sampleText))
	f.Add([]byte(sample6Text))
	f.Add([]byte("export FLANNEL_MTU='1472'\n#\nA=b"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(s.Bytes()); err != nil || again != s {
			t.Errorf("%q: %+v became %+v, %v", text, s, again, err)
		}
	})
}
