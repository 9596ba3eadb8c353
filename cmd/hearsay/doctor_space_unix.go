//go:build linux || darwin || freebsd

package main

import "golang.org/x/sys/unix"

// freeSpace returns the bytes that this account may still write to the disk under
// dir, if that is known.
func freeSpace(dir string) (free uint64, known bool) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0, false
	}
	blocks := max(0, int64(st.Bavail)) // below zero where others used what is reserved
	return uint64(blocks) * uint64(st.Bsize), true
}
