//go:build !linux

package program

// monotonic is not asked for: there is no systemd.
func monotonic() string { return "" }
