package program

import (
	"github.com/coreos/go-systemd/v22/daemon"
)

// NotifyReady tells systemd that the program serves, if systemd runs it.
func NotifyReady() { notify(daemon.SdNotifyReady) }

// NotifyStopping tells systemd that the program finishes what it carries.
func NotifyStopping() { notify(daemon.SdNotifyStopping) }

// NotifyReloading runs a reload between the words that systemd waits for.
func NotifyReloading(reload func()) {
	notify(daemon.SdNotifyReloading + "\n" + monotonic())
	reload()
	notify(daemon.SdNotifyReady)
}

func notify(state string) { _, _ = daemon.SdNotify(false, state) } // whoever asked may be gone
