package mailbox

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"hearsay/directory"
)

// Config says what a Server serves. Dir, Network and Identity are required.
type Config struct {
	Dir      string // holds the database, the keys and the relay's secret
	Network  directory.NetworkID
	Identity ed25519.PrivateKey // of the relay; certifies custody keys
	Lab      bool
	// FreeSpace returns the free and the total bytes of the disk under Dir.
	// Default: what the operating system says.
	FreeSpace func() (free, total uint64, err error)
	// Space is what the queues may take on the disk, in bytes; 0: no limit but the
	// disk's. See SetSpace.
	Space int64
	// SnapshotTime returns the time of the newest snapshot, and false while there
	// is none; it decides which address records are taken. Default: the clock.
	SnapshotTime func() (time.Time, bool)
	// TestOnlyNoRates lifts the rates of SEND and NEW, for throughput figures.
	TestOnlyNoRates bool
	// TestOnlyNoWork asks for no work for NEW, for days of virtual time.
	TestOnlyNoWork bool
	Log            *slog.Logger // default: none
}

// Server keeps queues on disk and serves them to circuits. Open and Stats are
// safe for concurrent use.
type Server struct {
	cfg   Config
	relay directory.RelayID
	log   *slog.Logger
	store *store
	space space
	stats counters

	ops        chan *op
	batchDelay time.Duration
	stopping   chan struct{} // closed: no operation is taken any more
	stopped    chan struct{} // closed: no operation will be done any more

	testOnlyCommitError func() error

	draining atomic.Bool
	maxSpace atomic.Int64 // bytes; 0: no limit

	mu      sync.Mutex
	running bool
	quit    context.CancelFunc // ends Run
	closed  bool
	subs    map[RID]*pushSub
	custody *custody
}

// custody is a key for receipts with its certificate.
type custody struct {
	key  ed25519.PrivateKey
	cert Certificate
	made time.Time
}

// custodyRenew is the age at which a custody key is replaced; its certificate
// lasts 27 days from its making, and no circuit 7 days.
const custodyRenew = 20 * 24 * time.Hour

// NewServer opens or creates the queues under cfg.Dir. Run has to be called for
// anything to be stored.
func NewServer(cfg Config) (*Server, error) {
	if cfg.Dir == "" || len(cfg.Identity) != ed25519.PrivateKeySize {
		return nil, errors.New("mailbox: directory and identity are required")
	}
	return newServer(cfg, false)
}

func newServer(cfg Config, noSync bool) (*Server, error) {
	st, err := openStore(cfg.Dir, cfg.Lab, noSync)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, relay: directory.RelayID(cfg.Identity.Public().(ed25519.PublicKey)), log: cfg.Log, store: st,
		space: space{read: cfg.FreeSpace, lab: cfg.Lab},
		ops:   make(chan *op, opsMax), batchDelay: batchDelay, stopping: make(chan struct{}), stopped: make(chan struct{}),
		testOnlyCommitError: func() error { return nil },
		subs:                make(map[RID]*pushSub),
	}
	s.SetSpace(cfg.Space)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.space.read == nil {
		s.space.read = func() (uint64, uint64, error) { return diskSpace(cfg.Dir) }
	}
	if s.cfg.SnapshotTime == nil {
		s.cfg.SnapshotTime = func() (time.Time, bool) { return time.Now(), true }
	}
	if err := s.recover(); err != nil {
		return nil, errors.Join(err, st.close())
	}
	return s, nil
}

// Run commits what sessions store, and expires it in time. It blocks until ctx
// ends or Close is called, which return nil, or until the disk fails: then the
// service is over, and nothing more is answered.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	if s.running || s.closed {
		s.mu.Unlock()
		return errors.New("mailbox: run twice or after close")
	}
	s.running, s.quit = true, cancel
	s.mu.Unlock()
	err := s.expire()
	if err == nil {
		err = s.commitLoop(ctx)
	}
	if err != nil {
		s.log.Error("mailbox: the disk failed, the service ends", logError, err)
	}
	s.stop()
	return err
}

// Drain says in the HELLO of every stream opened from now on that the relay
// goes for good, so that owners move their queues, and refuses new queues with
// FULL. Everything else works as before. There is no way back.
func (s *Server) Drain() { s.draining.Store(true) }

// Close ends Run and closes the store. Sessions fail from then on. Idempotent.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	if s.running {
		s.quit()
	} else {
		close(s.stopping)
		close(s.stopped)
	}
	s.mu.Unlock()
	<-s.stopped
	return s.store.close()
}

// stop lets all waiters go.
func (s *Server) stop() {
	select {
	case <-s.stopping:
	default:
		close(s.stopping)
	}
	close(s.stopped)
}

// recover counts the queues, drops those that cannot be read any more, and makes
// the dummy queue.
func (s *Server) recover() error {
	if err := s.store.db.View(s.loadTime); err != nil {
		return err
	}
	lost := make(map[RID]bool)
	queues, blocks := 0, 0
	err := s.store.db.View(func(b *bolt.Tx) error {
		err := b.Bucket(bucketQueues).ForEach(func(k, v []byte) error {
			rid := RID(k)
			m, err := s.store.openMeta(rid, v)
			switch {
			case rid == s.store.dummy:
			case err != nil:
				lost[rid] = true
			case !m.deleted:
				queues++
				blocks += s.store.count(b, rid, m)
			}
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	s.stats.add(queues, blocks)
	return s.update(func(t *tx) error {
		for rid := range lost {
			s.store.dropped.Add(1)
			if err := t.dropLost(rid); err != nil {
				return err
			}
		}
		if err := t.makeDummy(); err != nil {
			return err
		}
		return t.keepTime()
	})
}

func (s *Server) loadTime(b *bolt.Tx) error {
	if v := b.Bucket(bucketTime).Get(keyHour); len(v) == 4 {
		s.store.hour.Store(be32(v))
	}
	return nil
}

// dropLost deletes the rows of a queue whose own row cannot be read.
func (t *tx) dropLost(rid RID) error {
	sid := sidOf(t.store.secret, rid)
	c := t.Bucket(bucketBlocks).Cursor()
	for k, _ := c.Seek(rid[:]); len(k) == IDSize+8 && RID(k) == rid; k, _ = c.Seek(rid[:]) {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	links := t.Bucket(bucketLinks)
	c = links.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if len(v) >= IDSize && RID(v) == rid {
			if err := c.Delete(); err != nil {
				return err
			}
			break
		}
	}
	return errors.Join(t.Bucket(bucketSenders).Delete(sid[:]), t.Bucket(bucketQueues).Delete(rid[:]))
}

// custodyKey returns the key for new streams.
func (s *Server) custodyKey() *custody {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.custody == nil || now.Sub(s.custody.made) > custodyRenew || now.Before(s.custody.made.Add(-time.Hour)) {
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		cert := SignCertificate(s.cfg.Network, s.cfg.Identity, [32]byte(key.Public().(ed25519.PublicKey)), now)
		s.custody = &custody{key: key, cert: cert, made: now}
	}
	return s.custody
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
