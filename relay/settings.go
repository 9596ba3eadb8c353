package relay

import (
	"errors"
	"fmt"
	"time"

	"hearsay/directory"
)

// Settings are what an operator may change while a node runs (SPEC.md §13). The
// zero value limits nothing and says nothing.
type Settings struct {
	// Bandwidth is what circuits may take each way, in bytes of cells per second;
	// 0: no limit.
	Bandwidth int64
	// MailboxSpace is what queues may take on the disk, in bytes; 0: no limit but
	// the disk's (relay/mailbox/SPEC.md §7.5).
	MailboxSpace int64
	// Nick is a name for the relay, at most 19 characters of ASCII. Screens show
	// it nowhere: two relays may give themselves the same one.
	Nick string
	// Contact is how its operator is reached, at most 96 bytes. It is public.
	Contact string
}

// ErrSettings says that settings cannot be used; the text says which.
var ErrSettings = errors.New("relay: settings")

// Check fails with ErrSettings if the settings cannot be used.
func (s *Settings) Check() error {
	switch {
	case s.Bandwidth < 0 || s.MailboxSpace < 0:
		return fmt.Errorf("%w: a limit below zero", ErrSettings)
	case directory.CheckNick(s.Nick) != nil:
		return fmt.Errorf("%w: nickname: %w", ErrSettings, directory.CheckNick(s.Nick))
	case directory.CheckContact(s.Contact) != nil:
		return fmt.Errorf("%w: contact: %w", ErrSettings, directory.CheckContact(s.Contact))
	}
	return nil
}

// Settings returns what is in force. It is safe for concurrent use.
func (n *Node) Settings() Settings {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cfg.Settings
}

// Apply changes the settings of a running node: limits hold at once, for circuits
// that are open as well, and what others read is published within ten minutes. It
// fails with ErrSettings, and changes nothing then. It is safe for concurrent use.
func (n *Node) Apply(s Settings) error {
	if err := s.Check(); err != nil {
		return err
	}
	n.mu.Lock()
	old := n.cfg.Settings
	n.cfg.Settings = s
	if old.Nick != s.Nick || old.Contact != s.Contact {
		n.again = time.Time{} // due at the next look
	}
	n.mu.Unlock()
	select {
	case <-n.ready:
		n.limit(s)
	default: // prepare takes them
	}
	return nil
}

// limit has switch and mailbox keep to the limits.
func (n *Node) limit(s Settings) {
	n.sw.SetBandwidth(s.Bandwidth)
	n.mailbox.SetSpace(s.MailboxSpace)
}
