// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"flanneld/internal/host/nft"
)

// A configuration that is not valid changes nothing, and is no fault of the
// kernel.
func TestInvalidConfigurationIsRefusedBeforeTheKernelIsAsked(t *testing.T) {
	table, err := New("flannel0", 0)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := table.Ensure(Config{Members: []Member{{Addr: netip.MustParseAddr("fd00::1")}}})
	if err == nil || errors.Is(err, nft.ErrUnsupported) || len(changed) > 0 || table.Created() {
		t.Errorf("changed %q, %v", changed, err)
	}
	for _, device := range []string{"", "a/b", "flannel+", strings.Repeat("x", 16)} {
		if _, err := New(device, 0); err == nil {
			t.Errorf("a table of the device %q", device)
		}
		if err := Remove(device); err == nil {
			t.Errorf("removed the table of the device %q", device)
		}
	}
}
