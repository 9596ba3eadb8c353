//go:build linux || darwin || freebsd

package mailbox

import "golang.org/x/sys/unix"

// diskSpace returns the bytes that the disk under dir has free for us, and all.
func diskSpace(dir string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	// What is kept back for others is neither free nor used, as df counts.
	used := uint64(st.Blocks) - uint64(st.Bfree)
	avail := uint64(max(0, int64(st.Bavail))) // below zero where others used what is kept back
	return avail * uint64(st.Bsize), (used + avail) * uint64(st.Bsize), nil
}
