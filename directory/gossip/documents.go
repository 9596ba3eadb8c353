package gossip

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"hearsay/directory"
)

// Specification constants of documents (SPEC.md §7.5, §7.7, §9).
const (
	maxDocument      = 16 << 20 // bytes of one document: a ledger of 50,000 relays has 7.2 MB
	smallDocument    = 64 << 10 // up to here, no quota but that of all answers
	maxRecordsAsked  = 4096
	maxRecordsAnswer = maxRecordsAsked * (2 + directory.MaxDescriptor)

	// Bytes of large documents, of one link and of all askers of a kind: what recomputes a
	// snapshot must not slow the fetching of snapshots.
	linkDocumentRate  = 256 << 10 // a second
	linkDocumentBurst = maxDocument
	allDocumentRate   = 512 << 10
	allDocumentBurst  = maxDocument
)

// Implementation constants of Fetch.
const (
	fetchNext  = time.Second // then the next peer is asked too
	fetchPeers = 8           // at most
)

// Document is something that a header or a vote names by its hash.
type Document struct {
	// Hash is the name: of a vote the hash of its body (directory.Vote.Hash), of
	// ledgers and records the SHA-256 of Raw.
	Hash [32]byte
	// Raw is, for a vote, the whole signer's message with the certificate
	// (directory.SignerMessage.Raw), so that who reads it can verify it alone.
	Raw []byte
}

// Keep stores what is needed to compute the snapshot of an epoch again: its
// counted votes, the records that they name, and the ledger after it. Documents
// that other epochs need too are stored once; what no epoch needs that is among
// the newest 72 or younger than 49 hours is dropped (SPEC.md §7.5).
func (n *Node) Keep(epoch uint64, docs []Document) error {
	for _, d := range docs {
		if len(d.Raw) == 0 || len(d.Raw) > maxDocument {
			return fmt.Errorf("gossip: keep documents of epoch %d: one of %d bytes", epoch, len(d.Raw))
		}
	}
	if err := n.archive.keepDocuments(n.lab, epoch, docs); err != nil {
		return fmt.Errorf("gossip: keep documents of epoch %d: %w", epoch, err)
	}
	return nil
}

// Fetch returns a document that this node holds, or asks the bootstraps and then
// the nodes that it is connected to, the next one whenever one does not answer
// within a second. The last 16 bytes of the hash may be zero: then the first half
// names it. What it returns bears the name; the caller verifies signatures.
func (n *Node) Fetch(ctx context.Context, hash [32]byte) ([]byte, error) {
	if b := n.answerDocument(hash); b != nil {
		return b, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	type result struct {
		raw []byte
		err error
	}
	peers := n.documentPeers()
	results := make(chan result, len(peers)) // one of each, so that nobody waits
	next := time.NewTimer(0)
	defer next.Stop()
	errs := []error{errUnknown}
	for asked, ended := 0, 0; ended < len(peers); {
		select {
		case <-next.C:
			if asked < len(peers) {
				p := peers[asked]
				wg.Go(func() {
					raw, err := n.fetchFrom(ctx, p, hash)
					results <- result{raw, err}
				})
				asked++
				next.Reset(fetchNext)
			}
		case r := <-results:
			if r.err == nil {
				return r.raw, nil
			}
			errs = append(errs, r.err)
			ended++
			next.Reset(0)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, errors.Join(errs...)
}

func (n *Node) fetchFrom(ctx context.Context, p Peer, hash [32]byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	a, err := ask(ctx, n.cfg.Dialer, p, n.network)
	if err != nil {
		return nil, err
	}
	defer a.close()
	return a.document(hash)
}

// documentPeers returns whom Fetch asks: the bootstraps, and connected nodes.
func (n *Node) documentPeers() []Peer {
	list := n.bootstrapPeers()
	seen := make(map[[16]byte]bool)
	for _, p := range list {
		seen[p.ID.Prefix()] = true
	}
	for _, ss := range n.open() {
		if p, ok := n.peer(ss.peer); ok && !seen[ss.peer.Prefix()] {
			seen[ss.peer.Prefix()] = true
			list = append(list, p)
		}
	}
	return list[:min(len(list), fetchPeers)]
}

// document asks for a document and checks that the hash names what comes.
func (a *asker) document(hash [32]byte) ([]byte, error) {
	b, err := a.do(TypeDocument, hash[:])
	if err != nil {
		return nil, err
	}
	if len(b) == 0 {
		return nil, errUnknown
	}
	if !directory.NamedBy(hash, b) {
		return nil, errAnswer
	}
	return b, nil
}

// records asks for records by the first halves of their hashes, at most 4,096.
// The answer has one item for each; nil: not there.
func (a *asker) records(halves [][16]byte) ([][]byte, error) {
	b := make([]byte, 0, 16*len(halves))
	for _, h := range halves {
		b = append(b, h[:]...)
	}
	b, err := a.do(TypeRecords, b)
	if err != nil {
		return nil, err
	}
	list, err := parseRecordList(b, len(halves))
	if err != nil {
		return nil, err
	}
	for i, r := range list {
		if sum := sha256.Sum256(r); r != nil && [16]byte(sum[:16]) != halves[i] {
			return nil, errAnswer
		}
	}
	return list, nil
}

// answerDocument finds what a hash names: a record, a version of the network
// file, a head, or what Keep has stored.
func (n *Node) answerDocument(hash [32]byte) []byte {
	if r, ok := n.store.held(digest(hash[:16])); ok && (r.Hash == hash || [16]byte(hash[16:]) == [16]byte{}) {
		return r.Raw
	}
	if b, err := n.archive.document(hash); err != nil {
		n.log.Error("document not read", logReason, err)
	} else if b != nil {
		return b
	}
	c := n.Chain()
	for _, raw := range c.Raw(c.Current().Version) {
		if sha256.Sum256(raw) == hash {
			return raw
		}
	}
	if head, err := n.answerHead(0); err == nil && head != nil && sha256.Sum256(head) == hash {
		return head
	}
	return nil
}

// answerRecords answers RECORDS (SPEC.md §7.7). What is no record is not even read:
// a request can name thousands of documents.
func (n *Node) answerRecords(body []byte) ([]byte, error) {
	if len(body) == 0 || len(body)%16 != 0 {
		return nil, errTruncated
	}
	list := make([][]byte, len(body)/16)
	var missing []int
	for i := range list {
		if r, ok := n.store.held(digest(body[16*i:])); ok {
			list[i] = r.Raw
		} else {
			missing = append(missing, i)
		}
	}
	err := n.archive.eachDocument(func(find func(half [16]byte) []byte) {
		for _, i := range missing {
			if raw := find([16]byte(body[16*i:])); len(raw) <= directory.MaxDescriptor {
				list[i] = bytes.Clone(raw)
			}
		}
	})
	if err != nil {
		n.log.Error("documents not read", logReason, err)
	}
	var b []byte
	for _, raw := range list {
		b = binary.BigEndian.AppendUint16(b, uint16(len(raw)))
		b = append(b, raw...)
	}
	return b, nil
}

// parseRecordList reads exactly n records, nil for those that are not there. They
// alias b.
func parseRecordList(b []byte, n int) ([][]byte, error) {
	list := make([][]byte, 0, min(n, maxRecordsAsked))
	for range n {
		if len(b) < 2 {
			return nil, errTruncated
		}
		size := int(binary.BigEndian.Uint16(b))
		if size > directory.MaxDescriptor {
			return nil, errAnswer
		}
		if b = b[2:]; len(b) < size {
			return nil, errTruncated
		}
		if size == 0 {
			list = append(list, nil)
			continue
		}
		list = append(list, slices.Clip(b[:size]))
		b = b[size:]
	}
	if len(b) != 0 {
		return nil, errTruncated
	}
	return list, nil
}

// documentLimit bounds the large documents of one link. The zero value is ready.
// It is safe for concurrent use.
type documentLimit struct {
	once sync.Once
	rate *rate.Limiter
}

func (d *documentLimit) take(now time.Time, size int) bool {
	d.once.Do(func() { d.rate = rate.NewLimiter(linkDocumentRate, linkDocumentBurst) })
	return d.rate.AllowN(now, size)
}

// mayAnswer takes a document of the given size from the quotas.
func mayAnswer(now time.Time, size int, may leave) error {
	switch {
	case size <= smallDocument:
		return nil
	case !may.large(now, size) || !may.kind.large.AllowN(now, size):
		return errBusy
	}
	return nil
}
