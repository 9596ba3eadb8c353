package chat

import (
	"context"
	"errors"
	"log/slog"
	"net"
)

// Errors of Open that a program turns into an exit code.
var (
	ErrPassphrase = errors.New("chat: the passphrase is missing or wrong")
	ErrHomeInUse  = errors.New("chat: another process has this home open")
	ErrNoNetwork  = errors.New("chat: this home knows no network yet")
)

// Config configures Open. The zero value of an optional field means what its
// comment says.
type Config struct {
	Home string // directory of the profile; made with mode 0700 if missing

	// Network is a network link or the path of a file that holds one. It is
	// remembered in the home: empty means the remembered one.
	Network string

	// Passphrase protects a new home or opens an existing one. Nil: the key of
	// the store lies beside it, protected by file mode alone.
	Passphrase []byte

	// ListenPacket makes the fresh socket of each connection. Nil: UDP on an
	// ephemeral port.
	ListenPacket func() (net.PacketConn, error)

	Log *slog.Logger // nil: discard
}

// Messenger is one open profile. Its methods are safe for concurrent use; they
// work from Open on, but nothing reaches the network before Run.
type Messenger struct {
	feed *Feed
}

// Open opens or makes the profile in cfg.Home. It needs no network. It fails
// with ErrPassphrase, ErrHomeInUse or ErrNoNetwork, or with an Error of kind
// refused (a malformed link), wrong_network (the home belongs to another
// network) or io.
func Open(cfg Config) (*Messenger, error) {
	return nil, errors.New("chat: not yet written")
}

// Network returns the name of the network and whether it is a lab; known is
// false until the network file has been fetched once.
func (m *Messenger) Network() (name string, lab, known bool) { return "", false, false }

// Run fetches the network, keeps circuits and queues, sends and receives until
// ctx ends. Being offline is no error: it goes on trying. It returns nil when
// ctx ended, and an error only if the store failed.
func (m *Messenger) Run(ctx context.Context) error { return nil }

// Status tells how things stand.
func (m *Messenger) Status() Status { return Status{} }

// CreateInvite makes a one-time invite and returns once a relay stores it. It
// is the one method that needs the network: after 30 s it fails with
// no_network.
func (m *Messenger) CreateInvite(ctx context.Context, name string) (Invite, error) {
	return Invite{}, nil
}

// AcceptInvite makes a contact from an invite link, at once in state invited;
// the rest happens in the background and goes on after restarts. Messages may
// be sent at once and are queued. It fails with refused (mistyped),
// wrong_network or exists.
func (m *Messenger) AcceptInvite(ctx context.Context, link, name string) (Contact, error) {
	return Contact{}, nil
}

// Contacts returns all contacts in the order in which they were added.
func (m *Messenger) Contacts(ctx context.Context) ([]Contact, error) { return nil, nil }

// Send queues a text for a contact and returns after the disk sync, in state
// queued. It fails with not_found, refused (empty) or too_large.
func (m *Messenger) Send(ctx context.Context, contact, text string) (Message, error) {
	return Message{}, nil
}

// Messages returns up to limit messages of a contact with a number above after,
// rising. The limit is cut to 1..1000; 0 means 100.
func (m *Messenger) Messages(ctx context.Context, contact string, after uint64, limit int) ([]Message, error) {
	return nil, nil
}

// Subscribe returns the events from now on.
func (m *Messenger) Subscribe() *Subscription { return m.feed.Subscribe() }

// Close closes the profile, after Run has returned, and returns the number of
// messages that exist on this machine only. Idempotent.
func (m *Messenger) Close() (onlyHere int, err error) { return 0, nil }
