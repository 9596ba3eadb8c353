package chat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"hearsay/chat/session"
	"hearsay/chat/store"
	"hearsay/circuit"
	"hearsay/circuit/link"
	"hearsay/directory"
)

// Errors of Open that a program turns into an exit code.
var (
	ErrPassphrase = errors.New("chat: the passphrase is missing or wrong")
	ErrHomeInUse  = errors.New("chat: another process has this home open")
	ErrHomeOpen   = errors.New("chat: others may read this home or a file in it")
	ErrNoNetwork  = errors.New("chat: this home knows no network yet")
)

// Limits of what people type.
const (
	maxNameLength = 64   // bytes of a contact's name; stops names that fill screens
	maxListed     = 1000 // messages in one answer
	defaultListed = 100
)

// Config configures Open. The zero value of an optional field means what its
// comment says.
type Config struct {
	Home string // directory of the profile; made with mode 0700 if missing

	// Network is a network link or the path of a file that holds one. It is
	// remembered in the home: empty means the remembered one.
	Network string

	// Cover is the name of the cover profile, remembered in the home: off,
	// saver, normal or fast. Empty means the remembered one, or else normal, and
	// off in a lab network.
	Cover string

	// Passphrase protects a new home or opens an existing one. Nil: the key of
	// the store lies beside it, protected by file mode alone.
	Passphrase []byte

	// ListenPacket makes the fresh socket of each connection. Nil: UDP on an
	// ephemeral port.
	ListenPacket func() (net.PacketConn, error)

	// Source returns the address of this computer from which packets to a relay
	// leave now, zero if there is none; a change has all links dialed anew. Nil:
	// the system is asked, or nobody if ListenPacket is set.
	Source func(to netip.AddrPort) netip.Addr

	Log *slog.Logger // nil: discard

	// FileLimit is the largest file in bytes that is sent or fetched; 0 means
	// 64 MiB, and more than 256 MiB as much.
	FileLimit int64

	// testOnlyMemory is the memory of Argon2id in MiB; 0: the store's default.
	testOnlyMemory int
	// testOnlyPlace stands for the number of the database's file; 0: it is asked.
	testOnlyPlace uint64
	// testOnlyFull tells whether the disk is full; nil: it is not.
	testOnlyFull func() bool
}

// Messenger is one open profile. Its methods are safe for concurrent use; they
// work from Open on, but nothing reaches the network before Run.
type Messenger struct {
	cfg   Config
	log   *slog.Logger
	link  directory.NetworkLink
	store *store.Store
	views *directory.Views
	feed  *Feed

	ops     chan *op      // bounded: submitting blocks while the disk is behind
	lone    chan *op      // unbuffered: those that run outside of transactions
	closing chan struct{} // closed by Close
	kept    chan struct{} // closed when the keeper has ended
	failed  chan struct{} // closed when the store failed for good
	started chan struct{} // closed when net is set
	book    *book         // owned by the keeper
	// unsettled: the book was read again, and what was told of messages is not
	// known; owned by the keeper.
	unsettled bool

	roster    chan struct{} // capacity 1: the set of workers changed
	circuits  chan struct{} // capacity 1: a circuit was built or closed
	senders   *gate
	left      handover
	transfers *transfers
	reach     reach
	polled    atomic.Int32 // queues that are polled
	drops     *gate        // visits to queues of last resort

	mu       sync.Mutex
	net      network           // nil before the network file is there
	own      directory.RelayID // that we run ourselves; zero: none
	lent     func() Lent       // how it stands; nil: it does not run
	known    knownNetwork
	cover    *link.Profile // that was chosen; nil: none was
	steps    startup
	skew     time.Duration // local clock minus snapshot time, 0 if within what is normal
	inboxes  map[inboxKey]*inbox
	served   map[string]circuit.Info  // the circuit that last served a contact
	waiting  map[string]chan struct{} // invites whose first link is awaited
	failure  error
	running  bool
	closed   bool
	onlyHere int
}

// knownNetwork is what the home remembers of its network.
type knownNetwork struct {
	Link string `cbor:"1,keyasint"`
	Name string `cbor:"2,keyasint,omitempty"` // empty until the network file was fetched
	Lab  bool   `cbor:"3,keyasint,omitempty"`
}

// Open opens or makes the profile in cfg.Home. It needs no network. It fails
// with ErrPassphrase, ErrHomeInUse or ErrNoNetwork, or with an Error of kind
// refused (a malformed link, an unknown cover profile), wrong_network (the home belongs to another
// network) or io.
func Open(cfg Config) (*Messenger, error) {
	if cfg.Cover != "" {
		if _, err := parseCover(cfg.Cover); err != nil {
			return nil, err // before a home is made
		}
	}
	link, err := readLink(cfg.Network)
	if err != nil {
		return nil, err
	}
	exists, _, err := store.Exists(cfg.Home)
	if err != nil {
		return nil, homeError(err)
	}
	if !exists && link == nil {
		return nil, ErrNoNetwork
	}
	open := store.Create
	if exists {
		open = store.Open
	}
	st, err := open(store.Config{Dir: cfg.Home, Passphrase: cfg.Passphrase, Memory: cfg.testOnlyMemory})
	if err != nil {
		return nil, homeError(err)
	}
	m, err := newMessenger(cfg, st, link)
	if err != nil {
		_ = st.Close()
		return nil, err
	}
	return m, nil
}

func homeError(err error) error {
	switch {
	case errors.Is(err, store.ErrPassphrase), errors.Is(err, store.ErrPassphraseNeeded), errors.Is(err, store.ErrNoPassphrase):
		return fmt.Errorf("%w: %w", ErrPassphrase, err)
	case errors.Is(err, store.ErrInUse):
		return fmt.Errorf("%w: %w", ErrHomeInUse, err)
	case errors.Is(err, store.ErrMode):
		return fmt.Errorf("%w: %w", ErrHomeOpen, err)
	}
	return &Error{Kind: KindIO, Text: "cannot open the home: " + err.Error(), Hint: homeHint(err)}
}

// readLink reads a network link from a text or from the file it names.
func readLink(text string) (*directory.NetworkLink, error) {
	if text == "" {
		return nil, nil
	}
	if !strings.HasPrefix(strings.ToUpper(strings.TrimSpace(text)), "HEARSAY") {
		raw, err := os.ReadFile(text)
		if err != nil {
			return nil, &Error{Kind: KindRefused, Text: "cannot read the network link: " + Sanitize(err.Error()), Hint: "give a link that begins with HEARSAY-NET: or a file that holds one"}
		}
		text = string(raw)
	}
	link, err := directory.ParseNetworkLink(strings.TrimSpace(text))
	if err != nil {
		return nil, &Error{Kind: KindRefused, Text: "the network link is not good: " + Sanitize(err.Error()), Hint: "copy it again; it begins with HEARSAY-NET:"}
	}
	return &link, nil
}

func newMessenger(cfg Config, st *store.Store, link *directory.NetworkLink) (*Messenger, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	m := &Messenger{
		cfg: cfg, log: cfg.Log, store: st, views: &directory.Views{},
		ops: make(chan *op, opBacklog), lone: make(chan *op), closing: make(chan struct{}), kept: make(chan struct{}), failed: make(chan struct{}), started: make(chan struct{}),
		roster: make(chan struct{}, 1), circuits: make(chan struct{}, 1), senders: newGate(otherLimit), drops: newGate(1),
		left:      handover{posts: make(map[string]*post)},
		transfers: newTransfers(cfg.Home),
		inboxes:   make(map[inboxKey]*inbox), waiting: make(map[string]chan struct{}), served: make(map[string]circuit.Info),
	}
	if err := m.remember(link); err != nil {
		return nil, err
	}
	if err := m.rememberCover(cfg.Cover); err != nil {
		return nil, err
	}
	var err error
	if m.book, err = loadBook(st); err != nil {
		return nil, &Error{Kind: KindIO, Text: "cannot read the home: " + err.Error(), Hint: hintDamaged}
	}
	m.sweepSpools()
	m.feed = m.newFeed()
	go m.keep()
	return m, nil
}

// remember matches the link given with the one in the home.
func (m *Messenger) remember(link *directory.NetworkLink) error {
	return m.store.Update(func(tx *store.Tx) error {
		meta := tx.Bucket(bucketMeta)
		raw, err := meta.Get(metaNetwork)
		if err != nil {
			return err
		}
		if raw != nil {
			if err := decode(raw, &m.known); err != nil {
				return err
			}
		}
		switch {
		case m.known.Link == "" && link == nil:
			return ErrNoNetwork
		case m.known.Link == "":
		default:
			old, err := directory.ParseNetworkLink(m.known.Link)
			if err != nil {
				return fmt.Errorf("read home: %w", err)
			}
			if link != nil && link.ID != old.ID {
				return &Error{Kind: KindWrongNetwork, Text: "this home belongs to another network", Hint: "use another --home for another network"}
			}
			if link == nil {
				link = &old
			}
		}
		m.link = *link
		m.link.Token = nil // a relay's token is no matter of a client
		m.known.Link = m.link.String()
		if err := reserveEvents(meta); err != nil {
			return err
		}
		return meta.Put(metaNetwork, encode(m.known))
	})
}

// fatal notes that the store failed for good; Run returns the error.
func (m *Messenger) fatal(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure == nil {
		m.failure = err
		close(m.failed)
	}
}

// Network returns the name of the network and whether it is a lab; known is
// false until the network file has been fetched once.
func (m *Messenger) Network() (name string, lab, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known.Name, m.known.Lab, m.known.Name != ""
}

func (m *Messenger) isLab() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known.Lab
}

func (m *Messenger) timing() timing {
	t := timingOf(m.isLab())
	t.openMail += openMailTicks * m.tick()
	t.makeInvite += makeInviteTicks * m.tick()
	return t
}

// snapshotTime turns local time into the time that protocol checks use.
func (m *Messenger) snapshotTime(local time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return local.Add(-m.skew)
}

func (m *Messenger) listed(id directory.RelayID) bool {
	view := m.views.Current()
	return view != nil && listedIn(view, id)
}

// AcceptInvite makes a contact from an invite link, at once in state invited;
// the rest happens in the background and goes on after restarts. Messages may
// be sent at once and are queued. It fails with refused (mistyped),
// wrong_network or exists.
func (m *Messenger) AcceptInvite(ctx context.Context, link, name string) (Contact, error) {
	name, refused := checkName(name)
	if refused != nil {
		return Contact{}, refused
	}
	var c Contact
	err := m.do(ctx, func(t *turn) (err error) {
		c, err = t.acceptInvite(strings.TrimSpace(link), name)
		return err
	})
	return c, err
}

func checkName(name string) (string, *Error) {
	name = SanitizeName(name)
	if len(name) > maxNameLength {
		return "", &Error{Kind: KindTooLarge, Text: "the name is too long", Hint: "64 bytes at most"}
	}
	return name, nil
}

// Contacts returns all contacts in the order in which they were added.
func (m *Messenger) Contacts(ctx context.Context) ([]Contact, error) {
	contacts := []Contact{}
	err := m.look(ctx, func(t *turn) error {
		for _, c := range t.book.sorted() {
			shape, err := shapeContact(c), error(nil)
			if shape.Settings, err = t.conversation(c.id); err != nil {
				return err
			}
			if shape.Unread, shape.Latest, err = t.recent(c.id, shape.Settings.displayed()); err != nil {
				return err
			}
			contacts = append(contacts, shape)
		}
		notes, err := t.notes()
		if notes != nil && err == nil {
			if _, notes.Latest, err = t.recent(NotesID, math.MaxUint64); err != nil {
				return err
			}
			contacts = append(contacts, *notes)
		}
		return err
	})
	return contacts, err
}

func shapeContact(c *contact) Contact {
	shape := Contact{ID: c.id, Name: c.rec.Name, State: c.rec.State, Introduced: c.introducedBy()}
	if c.session != nil && c.safety == "" {
		c.safety = c.session.SafetyNumber()
	}
	shape.SafetyNumber, shape.Verified = c.safety, c.verified()
	if c.rec.State == ContactInvited && c.rec.Claim != nil && c.rec.Claim.Ask != nil {
		shape.Asked = c.rec.Claim.Ask.words()
	}
	if c.leftUs() {
		shape.Problem = "they removed you from their contacts"
	}
	if c.rec.Claim != nil && c.rec.Claim.Failed != "" {
		shape.Problem = map[string]string{
			KindInviteUsed: "the invite was used before, perhaps not by you", KindInviteExpired: "the invite has expired",
		}[c.rec.Claim.Failed]
		if shape.Problem == "" {
			shape.Problem = "the invite did not work"
		}
	}
	return shape
}

// Send queues a text for a contact or group and returns after the disk sync, in
// state queued. It fails with not_found, refused (empty, or the contact is
// blocked or changed) or too_large.
func (m *Messenger) Send(ctx context.Context, contact, text string) (Message, error) {
	return m.StartSend(ctx, contact, text, SendOptions{})()
}

// StartSend begins what Send does and returns once the text has its place
// behind those before it; wait returns what Send returns, or key_conflict. So
// texts that follow each other keep their order and yet share disk syncs.
func (m *Messenger) StartSend(ctx context.Context, contact, text string, o SendOptions) (wait func() (Message, error)) {
	fail := func(err error) func() (Message, error) {
		return func() (Message, error) { return Message{}, err }
	}
	switch {
	case text == "" || !utf8.ValidString(text):
		return fail(&Error{Kind: KindRefused, Text: "a message needs a text in UTF-8"})
	case len(text) > session.MaxText:
		return fail(&Error{Kind: KindTooLarge, Text: "the message is too long", Hint: "64 KiB of text at most"})
	case len(o.Key) > maxKey:
		return fail(&Error{Kind: KindTooLarge, Text: "the key is too long", Hint: "64 bytes at most"})
	case strings.HasPrefix(contact, "g_"):
		return m.startGroupSend(ctx, contact, text, o)
	}
	var sent Message
	run := &op{done: make(chan error, 1), run: func(t *turn) (err error) {
		sent, err = t.sendOnce(contact, text, o)
		return err
	}}
	if err := m.hand(ctx, run); err != nil {
		return fail(err)
	}
	return func() (Message, error) { err := m.await(run); return sent, err }
}

// sendText queues a text for a contact.
func (t *turn) sendText(contact, text string, o SendOptions) (Message, error) {
	if contact == NotesID {
		return t.addNote(text, o)
	}
	c := t.book.contacts[contact]
	if c == nil {
		return Message{}, errNoContact
	}
	if c.rec.Claim != nil && c.rec.Claim.Failed != "" {
		return Message{}, &Error{Kind: c.rec.Claim.Failed, Text: "the invite of this contact did not work", Hint: "ask for a new invite"}
	}
	if err := c.mayWrite(); err != nil {
		return Message{}, err
	}
	rec := messageRecord{Text: text, Timer: c.timer()}
	if err := t.replies(c.id, &rec, o.Reply); err != nil {
		return Message{}, err
	}
	content, err := session.Text{Text: text, Reply: rec.Reply, Timer: rec.Timer}.Append(nil)
	if err != nil {
		return Message{}, err
	}
	return t.enqueue(c, rec, session.FrameText, content)
}

// mayWrite refuses what is written to a contact who is blocked or whose key
// changed.
func (c *contact) mayWrite() error {
	switch c.rec.State {
	case ContactChanged:
		return &Error{Kind: KindRefused, Text: "the key of this contact changed", Hint: "compare the safety number, then verify the contact"}
	case ContactBlocked:
		return &Error{Kind: KindRefused, Text: "this contact is blocked", Hint: "unblock the contact first"}
	}
	if c.leftUs() {
		return &Error{Kind: KindRefused, Text: c.rec.Name + " removed you from their contacts", Hint: "make a new contact by an invite"}
	}
	return nil
}

var errNoContact = &Error{Kind: KindNotFound, Text: "there is no such contact"}

// Messages returns up to limit messages of a contact with a number above after,
// rising. The limit is cut to 1..1000; 0 means 100.
func (m *Messenger) Messages(ctx context.Context, contact string, after uint64, limit int) ([]Message, error) {
	if limit == 0 {
		limit = defaultListed
	}
	limit = min(max(limit, 1), maxListed)
	list := []Message{}
	err := m.look(ctx, func(t *turn) (err error) {
		if strings.HasPrefix(contact, "g_") {
			list, err = t.groupMessages(contact, after, limit)
			return err
		}
		if contact != NotesID && t.book.contacts[contact] == nil {
			return errNoContact
		}
		if after+1 == 0 {
			return nil
		}
		return t.tx.History(contact).Up(after+1, func(number uint64, raw []byte) (bool, error) {
			var rec messageRecord
			if err := decode(raw, &rec); err != nil {
				return false, err
			}
			m, err := t.shapeRow(contact, number, &rec)
			list = append(list, m)
			return len(list) < limit, err
		})
	})
	return list, err
}

// Subscribe returns the events from now on.
func (m *Messenger) Subscribe() *Subscription { return m.feed.Subscribe() }

// Close closes the profile, after Run has returned, and returns the number of
// messages that exist on this machine only. Idempotent.
func (m *Messenger) Close() (onlyHere int, err error) {
	m.mu.Lock()
	if m.closed {
		n := m.onlyHere
		m.mu.Unlock()
		return n, nil
	}
	m.closed = true
	m.mu.Unlock()
	_ = m.reading().look(context.Background(), func(t *turn) error {
		onlyHere = t.book.onlyHere()
		return nil
	})
	close(m.closing)
	<-m.kept
	m.feed.Close()
	m.mu.Lock()
	m.onlyHere = onlyHere
	m.mu.Unlock()
	return onlyHere, m.store.Close()
}
