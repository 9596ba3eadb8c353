package directory

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// Specification constants of snapshots (SPEC.md §9.4).
const (
	MaxSnapshot = 16 << 20 // bytes
	MaxHead     = 16 << 10 // bytes
)

// ErrUnsigned is returned when a snapshot that nobody signed is encoded.
var ErrUnsigned = errors.New("directory: snapshot is not signed")

// Head is a signed header with the certificates of its signers and the words of
// witnesses. Parsing it verifies nothing.
type Head struct {
	Header    Header
	doc       document
	certs     [][]byte
	witnesses []Witness // rising by relay
}

type headBody struct {
	_            struct{} `cbor:",toarray"`
	Header       []byte   // the document
	Certificates [][]byte // by signer, rising
	Witnesses    []byte   // signatures of 104 bytes, by relay, rising
}

// Snapshot is a head with the entries and tables that its header commits to.
// Parsing it verifies nothing; Chain.Verify does.
type Snapshot struct {
	Head
	Entries []Entry
	Tables  Tables
	entries []byte
	tables  []byte
}

type snapshotBody struct {
	_       struct{} `cbor:",toarray"`
	Head    []byte
	Entries []byte
	Tables  []byte
}

// ParseHead decodes a head of at most MaxHead bytes.
func ParseHead(raw []byte) (*Head, error) {
	var b headBody
	if err := decode(raw, MaxHead, &b); err != nil {
		return nil, fmt.Errorf("parse head: %w", err)
	}
	if len(b.Certificates) > maxFounders {
		return nil, fmt.Errorf("parse head: %w: %d certificates", ErrTooLarge, len(b.Certificates))
	}
	for _, c := range b.Certificates {
		if len(c) > maxCertificate {
			return nil, fmt.Errorf("parse head: certificate: %w", ErrTooLarge)
		}
	}
	doc, err := openDocument(labelHeader, b.Header, MaxHead)
	if err != nil {
		return nil, fmt.Errorf("parse head: %w", err)
	}
	h, err := parseHeader(doc.Body)
	if err != nil {
		return nil, fmt.Errorf("parse head: %w", err)
	}
	witnesses, err := parseWitnesses(b.Witnesses)
	if err != nil {
		return nil, fmt.Errorf("parse head: %w", err)
	}
	return &Head{Header: h, doc: doc, certs: b.Certificates, witnesses: witnesses}, nil
}

// Encode returns the head, which must be signed.
func (h *Head) Encode() ([]byte, error) {
	if len(h.doc.Signatures) == 0 {
		return nil, ErrUnsigned
	}
	doc, err := encode(&h.doc)
	if err != nil {
		return nil, err
	}
	return encode(&headBody{Header: doc, Certificates: h.certs, Witnesses: appendWitnesses(h.witnesses)})
}

// Hash returns the SHA-256 of the header's body, which names the snapshot.
func (h *Head) Hash() [32]byte { return h.doc.hash() }

// ParseSnapshot decodes the parts of a snapshot of at most MaxSnapshot bytes
// and its head. Entries and Tables stay empty until Chain.Verify, so that
// nobody but signers can make a reader look at them.
func ParseSnapshot(raw []byte) (*Snapshot, error) {
	var b snapshotBody
	if err := decode(raw, MaxSnapshot, &b); err != nil {
		return nil, fmt.Errorf("parse snapshot: %w", err)
	}
	h, err := ParseHead(b.Head)
	if err != nil {
		return nil, fmt.Errorf("parse snapshot: %w", err)
	}
	return &Snapshot{Head: *h, entries: b.Entries, tables: b.Tables}, nil
}

// open decodes entries and tables, which must be those that the header commits
// to.
func (s *Snapshot) open() error {
	if sha256.Sum256(s.tables) != s.Header.TablesHash {
		return fmt.Errorf("%w: not those of the header", ErrBadTables)
	}
	tables, err := parseTables(s.tables)
	if err != nil {
		return err
	}
	entries, err := parseEntries(s.entries, s.Header.N, s.Header.Lab())
	if err != nil {
		return err
	}
	root, totals := entriesRoot(entries)
	if root != s.Header.EntriesRoot || totals != s.Header.Totals {
		return fmt.Errorf("%w: not those of the header", ErrBadEntry)
	}
	for i := range entries {
		if !tables.covers(&entries[i]) {
			return fmt.Errorf("%w: index outside of the tables", ErrBadEntry)
		}
	}
	s.Tables, s.Entries = tables, entries
	return nil
}

// Encode returns the snapshot, which must be signed.
func (s *Snapshot) Encode() ([]byte, error) {
	head, err := s.Head.Encode()
	if err != nil {
		return nil, err
	}
	return encode(&snapshotBody{Head: head, Entries: s.entries, Tables: s.tables})
}

// Sign adds a signer's signature by its online key, and the certificate for it,
// which the key must match. Persist what Encode returns before it is released:
// a signer signs one header per epoch number.
func (s *Snapshot) Sign(certificate []byte, online ed25519.PrivateKey) error {
	c, err := ParseCertificate(s.Header.Network, certificate)
	if err != nil {
		return fmt.Errorf("sign snapshot: %w", err)
	}
	if c.Online != publicOf(online) {
		return fmt.Errorf("sign snapshot: %w: it is for another key", ErrBadCertificate)
	}
	if !c.Covers(s.Header.ValidAfter) {
		return fmt.Errorf("sign snapshot: %w: it is not valid at the snapshot's time", ErrBadCertificate)
	}
	at, known, err := s.place(c.Signer)
	if err != nil {
		return fmt.Errorf("sign snapshot: %w", err)
	}
	if known {
		return fmt.Errorf("sign snapshot: %w: this signer has signed already", ErrBadCertificate)
	}
	s.certs = slices.Insert(s.certs, at, bytes.Clone(certificate))
	s.doc.add(signBody(labelHeader, s.Header.Network, s.doc.Body, online))
	return nil
}
