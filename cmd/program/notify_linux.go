package program

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// monotonic is the time since boot as systemd wants it beside RELOADING.
func monotonic() string {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return ""
	}
	return fmt.Sprintf("MONOTONIC_USEC=%d", t.Nano()/1000)
}
