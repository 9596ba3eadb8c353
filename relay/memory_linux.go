package relay

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// machineMemory returns the bytes of memory of this machine, or of the control
// group that the process is in, or one that this lies in, if that is less; 0 if
// neither is known.
func machineMemory() int64 {
	var total int64
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		total = int64(uint64(info.Totalram) * uint64(info.Unit))
	}
	groups, _ := os.ReadFile("/proc/self/cgroup") // without it, the root alone
	if n := groupMemory(os.DirFS("/sys/fs/cgroup"), string(groups)); n > 0 && (total == 0 || n < total) {
		total = n
	}
	return total
}

// groupMemory returns the least limit of memory of the control groups that the text
// of /proc/self/cgroup names, and of those around them; 0 if there is none. A
// container may see its own group as the root, so that is always asked.
func groupMemory(sys fs.FS, groups string) int64 {
	var least int64
	limit := func(file string) {
		b, err := fs.ReadFile(sys, file)
		if err != nil {
			return
		}
		// "max" is no number, and no limit.
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64); err == nil && n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	up := func(dir, file, group string) {
		for ; group != "."; group = path.Dir(group) {
			limit(path.Join(dir, group, file))
		}
		limit(path.Join(dir, file))
	}
	up("", "memory.max", ".")
	up("memory", "memory.limit_in_bytes", ".")
	for line := range strings.Lines(groups) {
		// hierarchy:controllers:group
		part := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(part) != 3 {
			continue
		}
		group := "." + path.Clean("/"+part[2])
		switch {
		case part[0] == "0" && part[1] == "":
			up("", "memory.max", group)
		case part[1] == "memory":
			up("memory", "memory.limit_in_bytes", group)
		}
	}
	return least
}
