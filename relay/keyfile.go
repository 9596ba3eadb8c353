package relay

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"hearsay/circuit/onion"
	"hearsay/directory"
)

// Specification constants of key files (SPEC.md §7).
const (
	keyFileVersion = 1
	keyFileSize    = 48
)

// keyKind says what a key file holds.
type keyKind byte

const (
	keyIdentity keyKind = 1 + iota
	keyLink
	keyOnion
	keyReset
	keyToken
	keySigner
	keyRoot
	keyRootSealed
	keyOnline
	keyFamily
	keyInviter
)

// errKeyFile is returned for a key file that is not what it should be.
var errKeyFile = errors.New("relay: key file is damaged")

// keyFile is 32 secret bytes with their kind and time. It prints as nothing.
type keyFile struct {
	kind   keyKind
	from   time.Time // made, or not_before of an onion key; whole seconds
	secret [32]byte
}

// String redacts.
func (keyFile) String() string { return "key file (redacted)" }

// append encodes the file: version u8, kind u8, zero 6, from u64, secret 32.
func (k keyFile) append(b []byte) []byte {
	b = append(b, keyFileVersion, byte(k.kind), 0, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(k.from.Unix()))
	return append(b, k.secret[:]...)
}

// parseKeyFile decodes a key file of the wanted kind.
func parseKeyFile(b []byte, kind keyKind) (keyFile, error) {
	if len(b) != keyFileSize || b[0] != keyFileVersion || b[1] != byte(kind) || [6]byte(b[2:8]) != [6]byte{} {
		return keyFile{}, errKeyFile
	}
	from := binary.BigEndian.Uint64(b[8:])
	if from >= 1<<32 {
		return keyFile{}, errKeyFile
	}
	return keyFile{kind: kind, from: time.Unix(int64(from), 0), secret: [32]byte(b[16:])}, nil
}

// key returns the named key and makes it first if it is missing.
func (h *home) key(name string, kind keyKind, now time.Time) (keyFile, error) {
	b, err := h.read(name)
	if err != nil {
		return keyFile{}, err
	}
	if b == nil {
		return h.makeKey(name, kind, now)
	}
	k, err := parseKeyFile(b, kind)
	if err != nil {
		return k, fmt.Errorf("%w: %s", err, h.path(name))
	}
	return k, nil
}

func (h *home) makeKey(name string, kind keyKind, from time.Time) (keyFile, error) {
	k := keyFile{kind: kind, from: time.Unix(from.Unix(), 0)}
	rand.Read(k.secret[:])
	return k, h.write(name, k.append(nil))
}

// removeUnfinished removes the files that a crash left half written, while the home
// is locked: a key among them would outlive the time at which keys are erased.
func (h *home) removeUnfinished() error {
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), unfinished) {
			if err := h.remove(e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// Names of key files.
const (
	fileIdentity = "identity.key"
	fileLink     = "link.key"
	fileReset    = "reset.key"
	fileToken    = "token.key"
	onionPrefix  = "onion-"
	onionSuffix  = ".key"
)

// Key periods (SPEC.md §7.2); in lab networks the 360th part.
const (
	day           = 24 * time.Hour
	onionLife     = 7 * day // until the next key takes over
	onionAhead    = 1 * day // the next key is published this long before
	onionAccepted = 7 * day // after it was replaced
	linkLife      = 25 * day
	onionBackdate = time.Hour // first key: for signers whose clock is behind
)

// keys are the keys of a node. The zero onion list is that of a directory
// node.
type keys struct {
	home     *home
	lab      bool
	identity ed25519.PrivateKey
	link     keyFile
	reset    [32]byte
	token    [32]byte
	onion    []onionKey // by rising not_before
}

type onionKey struct {
	name string
	from time.Time
	key  onion.OnionKey
}

// loadKeys reads or makes the keys that every node has.
func loadKeys(h *home, now time.Time) (*keys, error) {
	if err := h.removeUnfinished(); err != nil {
		return nil, err
	}
	k := &keys{home: h}
	id, err := h.key(fileIdentity, keyIdentity, now)
	if err != nil {
		return nil, err
	}
	k.identity = ed25519.NewKeyFromSeed(id.secret[:])
	if k.link, err = h.key(fileLink, keyLink, now); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name string
		kind keyKind
		to   *[32]byte
	}{{fileReset, keyReset, &k.reset}, {fileToken, keyToken, &k.token}} {
		file, err := h.key(f.name, f.kind, now)
		if err != nil {
			return nil, err
		}
		*f.to = file.secret
	}
	return k, nil
}

// id returns the identity that the keys prove.
func (k *keys) id() directory.RelayID {
	return directory.RelayID(k.identity.Public().(ed25519.PublicKey))
}

// linkKey returns the TLS leaf key.
func (k *keys) linkKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(k.link.secret[:]) }

// loadOnion reads the onion keys that are in the home.
func (k *keys) loadOnion() error {
	entries, err := os.ReadDir(k.home.dir) // sorted by name, and so by time
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), onionPrefix) || !strings.HasSuffix(e.Name(), onionSuffix) {
			continue
		}
		f, err := k.home.key(e.Name(), keyOnion, time.Time{})
		if err != nil {
			return err
		}
		if err := k.addOnion(e.Name(), f); err != nil {
			return err
		}
	}
	return nil
}

func (k *keys) addOnion(name string, f keyFile) error {
	key, err := onion.NewOnionKey(f.secret, uint32(f.from.Unix()))
	if err != nil {
		return fmt.Errorf("%w: %s", errKeyFile, name)
	}
	k.onion = append(k.onion, onionKey{name: name, from: f.from, key: key})
	return nil
}

func (k *keys) newOnion(from time.Time) error {
	name := fmt.Sprintf("%s%010d%s", onionPrefix, from.Unix(), onionSuffix)
	f, err := k.home.makeKey(name, keyOnion, from)
	if err != nil {
		return err
	}
	return k.addOnion(name, f)
}

// rotate erases the keys that are over and makes those that are due. It reports
// whether the descriptor must change, or the link key did. A key that cannot be
// stored is not used, and made at the next call; what is to be erased is erased
// before, which needs no space.
func (k *keys) rotate(now time.Time) (descriptor, linkKey bool, err error) {
	accepted := directory.Scale(k.lab, onionAccepted)
	for len(k.onion) > 1 && !now.Before(k.onion[1].from.Add(accepted)) {
		if err := k.home.remove(k.onion[0].name); err != nil {
			return false, false, err
		}
		k.onion = k.onion[1:]
	}
	if len(k.onion) == 0 {
		if err := k.newOnion(now.Add(-directory.Scale(k.lab, onionBackdate))); err != nil {
			return false, false, err
		}
		descriptor = true
	}
	life, ahead := directory.Scale(k.lab, onionLife), directory.Scale(k.lab, onionAhead)
	// The next key begins when the last one's time is over, or now if the node
	// was away for that long.
	if last := k.onion[len(k.onion)-1]; !now.Before(last.from.Add(life - ahead)) {
		next := last.from.Add(life)
		if next.Before(now) {
			next = now
		}
		if err := k.newOnion(next); err != nil {
			return descriptor, false, err
		}
		descriptor = true
	}
	if now.Sub(k.link.from) >= directory.Scale(k.lab, linkLife) {
		next, err := k.home.makeKey(fileLink, keyLink, now)
		if err != nil {
			return descriptor, false, err
		}
		k.link, linkKey = next, true
	}
	return descriptor || linkKey, linkKey, nil
}

// published returns the onion keys for the descriptor: the current one and,
// ahead of its time, the next.
func (k *keys) published(now time.Time) []directory.OnionKey {
	var out []directory.OnionKey
	for i, o := range k.onion {
		if i+1 < len(k.onion) && !now.Before(k.onion[i+1].from) {
			continue // replaced
		}
		out = append(out, directory.OnionKey{NotBefore: o.key.NotBefore(), Key: o.key.Public()})
	}
	return out
}

// accepted returns the keys that handshakes may name.
func (k *keys) accepted() []onion.OnionKey {
	out := make([]onion.OnionKey, len(k.onion))
	for i, o := range k.onion {
		out[i] = o.key
	}
	return out
}
