//go:build linux || darwin || freebsd

package main

import "golang.org/x/sys/unix"

// freeSpace returns the bytes that this account may still write to the disk under
// dir, if that is known.
func freeSpace(dir string) (free uint64, known bool) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil || st.Bavail < 0 {
		return 0, false
	}
	return uint64(st.Bavail) * uint64(st.Bsize), true
}
