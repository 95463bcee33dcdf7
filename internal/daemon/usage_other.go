//go:build !linux

package daemon

// usage is known on Linux only.
func usage() (descriptors int, memory uint64) { return 0, 0 }
