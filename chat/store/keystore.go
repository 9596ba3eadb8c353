package store

import (
	"bytes"
	"cmp"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"slices"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// Specification constants of the keystore (SPEC.md §2).
const (
	keystoreMagic   = "hearsay keys"
	keystoreVersion = 1

	kdfArgon2id = 1
	kdfKeyFile  = 2

	keySize     = 32
	saltSize    = 32
	nonceSize   = chacha20poly1305.NonceSizeX
	tagSize     = chacha20poly1305.Overhead
	commitSize  = 32
	headerSize  = 64
	tableUnit   = 4096 // the table is padded to a multiple
	historySize = nameSize + 4 + keySize

	argonTime    = 3
	argonMemory  = 256 // MiB
	argonThreads = 4
)

// Implementation constants: what a file may make us compute and read.
const (
	minTime, maxTime       = 3, 16
	minMemory, maxMemory   = 64, 4096 // MiB
	minThreads, maxThreads = 1, 16
	maxHistoryKeys         = 1 << 17 // 500 conversations for five years
	maxKeystore            = headerSize + commitSize + nonceSize + tagSize + 4 + 2*keySize + maxHistoryKeys*historySize + tableUnit
)

// header is the clear beginning of the keystore.
type header struct {
	kdf     byte
	time    uint32
	memory  uint32 // MiB
	threads uint32
	salt    [saltSize]byte
}

func newHeader(cfg Config) (header, error) {
	h := header{kdf: kdfKeyFile}
	if len(cfg.Passphrase) > 0 {
		h.kdf = kdfArgon2id
		h.time, h.memory, h.threads = argonTime, argonMemory, argonThreads
		if cfg.Memory != 0 {
			if cfg.Memory < minMemory || cfg.Memory > maxMemory {
				return h, fmt.Errorf("%d MiB for Argon2id", cfg.Memory)
			}
			h.memory = uint32(cfg.Memory)
		}
	}
	if _, err := io.ReadFull(rand.Reader, h.salt[:]); err != nil {
		return h, err
	}
	return h, h.check()
}

func (h header) check() error {
	switch h.kdf {
	case kdfArgon2id:
		if h.time < minTime || h.time > maxTime || h.memory < minMemory || h.memory > maxMemory ||
			h.threads < minThreads || h.threads > maxThreads {
			return fmt.Errorf("keystore: parameters of Argon2id out of bounds: %w", ErrDamaged)
		}
	case kdfKeyFile:
		if h.time != 0 || h.memory != 0 || h.threads != 0 {
			return fmt.Errorf("keystore: parameters without Argon2id: %w", ErrDamaged)
		}
	default:
		return fmt.Errorf("keystore: kind of key %d: %w", h.kdf, ErrVersion)
	}
	return nil
}

func (h header) append(b []byte) []byte {
	b = append(b, keystoreMagic...)
	b = append(b, keystoreVersion, h.kdf, 0, 0)
	b = binary.BigEndian.AppendUint32(b, h.time)
	b = binary.BigEndian.AppendUint32(b, h.memory)
	b = binary.BigEndian.AppendUint32(b, h.threads)
	b = append(b, 0, 0, 0, 0)
	return append(b, h.salt[:]...)
}

// parseHeader returns the header and what follows it.
func parseHeader(b []byte) (h header, rest []byte, err error) {
	if len(b) < headerSize || string(b[:12]) != keystoreMagic {
		return h, nil, fmt.Errorf("keystore: %w", ErrDamaged)
	}
	if b[12] != keystoreVersion {
		return h, nil, fmt.Errorf("keystore of version %d: %w", b[12], ErrVersion)
	}
	h.kdf = b[13]
	h.time = binary.BigEndian.Uint32(b[16:])
	h.memory = binary.BigEndian.Uint32(b[20:])
	h.threads = binary.BigEndian.Uint32(b[24:])
	copy(h.salt[:], b[32:])
	if err := h.check(); err != nil {
		return h, nil, err
	}
	if !bytes.Equal(h.append(nil), b[:headerSize]) { // reserved bytes
		return h, nil, fmt.Errorf("keystore: %w", ErrDamaged)
	}
	return h, b[headerSize:], nil
}

func readKeystore(dir string) (header, []byte, error) {
	b, err := readSmallFile(filepath.Join(dir, keystoreFile), maxKeystore)
	if err != nil {
		return header{}, nil, err
	}
	return parseHeader(b)
}

// releaseFrom is from how many MiB on the memory of a derivation is given back to
// the system at once, in some 20 ms: the collector would keep it for minutes, a
// quarter of a GiB in a program that needs a tenth of that.
const releaseFrom = 64

// keyEncryption derives the key of the table and its commitment.
func (h header) keyEncryption(secret []byte) (kek, commitment [keySize]byte) {
	master := secret
	if h.kdf == kdfArgon2id {
		master = argon2.IDKey(secret, h.salt[:], h.time, h.memory<<10, uint8(h.threads), keySize)
		defer clear(master)
		if h.memory >= releaseFrom {
			debug.FreeOSMemory()
		}
	}
	out, err := hkdf.Key(sha256.New, master, h.salt[:], labelKeyEncryption, 2*keySize)
	if err != nil {
		panic("store: hkdf: " + err.Error()) // only for lengths above 8160
	}
	copy(kek[:], out)
	copy(commitment[:], out[keySize:])
	clear(out)
	return kek, commitment
}

// historyID names the key of one conversation and week.
type historyID struct {
	conversation name
	epoch        uint32
}

// keyTable holds the keys of an open store. Store.mu guards history, dirty,
// users and retired, and header, kek and commitment once the store is open; the
// rest does not change while a transaction uses the table.
type keyTable struct {
	header          header
	kek, commitment [keySize]byte
	meta            [keySize]byte // names
	state           [keySize]byte // all values but histories
	history         map[historyID]*[keySize]byte
	dirty           bool // the file does not hold these keys

	network [keySize]byte // what network layers keep; derived from state
	box     boxKey        // derived from state

	locked  bool // only meta, network and the public half of box are there
	users   int  // transactions
	retired bool // to be erased when no transaction uses it any more
}

// derive computes the keys that follow from K_state.
func (k *keyTable) derive() error {
	seed := k.derived(labelBoxKey)
	defer clear(seed)
	k.network = [keySize]byte(k.derived(labelNetworkKey))
	return k.box.set(seed)
}

func (k *keyTable) derived(label string) []byte {
	out, err := hkdf.Key(sha256.New, k.state[:], nil, label, keySize)
	if err != nil {
		panic("store: hkdf: " + err.Error()) // only for lengths above 8160
	}
	return out
}

func newKeyTable(h header, secret []byte) (*keyTable, error) {
	k := &keyTable{header: h, history: make(map[historyID]*[keySize]byte)}
	k.kek, k.commitment = h.keyEncryption(secret)
	if _, err := io.ReadFull(rand.Reader, k.meta[:]); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(rand.Reader, k.state[:]); err != nil {
		return nil, err
	}
	return k, k.derive()
}

// openKeyTable opens what follows the header. The commitment tells a wrong
// passphrase from a damaged file.
func openKeyTable(h header, secret, rest []byte) (*keyTable, error) {
	if len(rest) < commitSize+nonceSize+tagSize {
		return nil, fmt.Errorf("keystore: %w", ErrDamaged)
	}
	k := &keyTable{header: h, history: make(map[historyID]*[keySize]byte)}
	k.kek, k.commitment = h.keyEncryption(secret)
	if subtle.ConstantTimeCompare(k.commitment[:], rest[:commitSize]) != 1 {
		if h.kdf == kdfKeyFile {
			return nil, fmt.Errorf("key file does not fit: %w", ErrDamaged)
		}
		return nil, ErrPassphrase
	}
	nonce, sealed := rest[commitSize:commitSize+nonceSize], rest[commitSize+nonceSize:]
	table, err := cipher(k.kek).Open(nil, nonce, sealed, k.aad())
	if err != nil {
		return nil, fmt.Errorf("keystore: %w", ErrDamaged)
	}
	defer clear(table)
	if err := k.parseTable(table); err != nil {
		return nil, err
	}
	return k, k.derive()
}

func (k *keyTable) aad() []byte {
	return append(k.header.append([]byte(labelKeyTable)), k.commitment[:]...)
}

// appendTable appends the plaintext of the table, padded.
func (k *keyTable) appendTable(b []byte) []byte {
	start := len(b)
	b = append(b, k.meta[:]...)
	b = append(b, k.state[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(k.history)))
	ids := make([]historyID, 0, len(k.history))
	for id := range k.history {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, compareHistoryID)
	for _, id := range ids {
		b = append(b, id.conversation[:]...)
		b = binary.BigEndian.AppendUint32(b, id.epoch)
		b = append(b, k.history[id][:]...)
	}
	return append(b, make([]byte, -(len(b)-start)&(tableUnit-1))...)
}

func compareHistoryID(a, b historyID) int {
	return cmp.Or(bytes.Compare(a.conversation[:], b.conversation[:]), cmp.Compare(a.epoch, b.epoch))
}

func (k *keyTable) parseTable(b []byte) error {
	damaged := fmt.Errorf("keystore table: %w", ErrDamaged)
	if len(b) < tableUnit || len(b)%tableUnit != 0 {
		return damaged
	}
	table := b
	copy(k.meta[:], b)
	copy(k.state[:], b[keySize:])
	n := int(binary.BigEndian.Uint32(b[2*keySize:]))
	b = b[2*keySize+4:]
	if n > maxHistoryKeys || n > len(b)/historySize {
		return damaged
	}
	for range n {
		id := historyID{conversation: name(b[:nameSize]), epoch: binary.BigEndian.Uint32(b[nameSize:])}
		key := [keySize]byte(b[nameSize+4:])
		k.history[id] = &key
		b = b[historySize:]
	}
	again := k.appendTable(nil) // order, repeats, padding
	defer clear(again)
	if subtle.ConstantTimeCompare(again, table) != 1 {
		return damaged
	}
	return nil
}

// write replaces the keystore file.
func (k *keyTable) write(d disk, dir string) error {
	b := k.header.append(nil)
	b = append(b, k.commitment[:]...)
	nonce := make([]byte, nonceSize)
	if _, err := io.ReadFull(rand.Reader, nonce); err != nil {
		return err
	}
	b = append(b, nonce...)
	table := k.appendTable(nil)
	defer clear(table)
	b = cipher(k.kek).Seal(b, nonce, table, k.aad())
	if err := d.write(filepath.Join(dir, keystoreFile), b); err != nil {
		return err
	}
	k.dirty = false
	return nil
}

// erase overwrites the keys; copies that the runtime made stay.
func (k *keyTable) erase() {
	clear(k.kek[:])
	clear(k.meta[:])
	clear(k.state[:])
	clear(k.network[:])
	for _, key := range k.history {
		clear(key[:])
	}
	clear(k.history)
	k.box = boxKey{}
}

// historyKey returns the key of a conversation and week; make draws one if there
// is none, and then it is on disk before the transaction is.
func (t *Tx) historyKey(id historyID, make bool) (key [keySize]byte, ok bool, err error) {
	k := t.keys
	if k.locked {
		return key, false, ErrLocked
	}
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	if there := k.history[id]; there != nil || !make {
		if there != nil {
			key = *there
		}
		return key, there != nil, nil
	}
	if len(k.history) >= maxHistoryKeys {
		return key, false, fmt.Errorf("store: too many conversations and weeks")
	}
	if _, err := io.ReadFull(rand.Reader, key[:]); err != nil {
		return key, false, err
	}
	kept := key
	k.history[id] = &kept
	k.dirty = true
	return key, true, nil
}

// flushKeys writes the keystore if it lacks a key.
func (t *Tx) flushKeys() error {
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	if !t.keys.dirty {
		return nil
	}
	return t.store.writeKeys(t.keys)
}

// writeKeys writes a keystore that must be there: what was wiped stays wiped.
// Store.mu is held.
func (s *Store) writeKeys(k *keyTable) error {
	if s.wiped || !exists(filepath.Join(s.dir, keystoreFile)) {
		return ErrWiped
	}
	return k.write(s.disk, s.dir)
}
