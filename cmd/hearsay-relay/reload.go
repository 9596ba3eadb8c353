package main

import (
	"errors"
	"log/slog"
	"strings"
	"sync"

	"hearsay/cmd/program"
	"hearsay/relay"
)

// reloader reads the configuration anew at SIGHUP and applies what may change
// while the relay runs.
type reloader struct {
	flags   runFlags // as given
	changed func(flag string) bool
	logs    *program.LogFlags
	node    *relay.Node
	log     *slog.Logger

	mu    sync.Mutex
	inUse runFlags // as resolved at the start
}

// newReloader reads the file again that was read at the start, and no other in its
// place: without it the relay would go on without its limits.
func newReloader(given, inUse runFlags, changed func(string) bool, logs *program.LogFlags, n *relay.Node, log *slog.Logger) *reloader {
	given.file = inUse.file
	return &reloader{flags: given, changed: changed, logs: logs, node: n, log: log, inUse: inUse}
}

// reload applies the configuration. What cannot be used changes nothing at all;
// what needs a restart is named and stays as it is.
func (r *reloader) reload() {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := r.flags.resolve(r.changed)
	if err == nil {
		err = r.apply(&next)
	}
	if err != nil {
		r.log.Error("the configuration is not taken: nothing was changed", "error", err)
		return
	}
	if names := r.inUse.static(&next); len(names) > 0 {
		r.log.Warn("these changes need a restart, and wait for it", "keys", strings.Join(names, ", "))
	}
	r.log.Info("configuration read again")
}

func (r *reloader) apply(next *runFlags) error {
	s, err := next.settings()
	if err != nil {
		return err
	}
	if err := s.Check(); err != nil {
		return err
	}
	certificates, err := next.certificates()
	if err != nil {
		return err
	}
	if _, err := program.ParseLevel(next.logLevel); err != nil {
		return err
	}
	if err := addFamilies(r.inUse.home, certificates); err != nil {
		return err
	}
	return errors.Join(r.logs.SetLevel(next.logLevel), r.node.Apply(s))
}
