package gossip

import (
	"fmt"
	"time"

	"hearsay/directory"
)

const (
	// witnessSave is how long the words of witnesses are gathered before they are
	// written.
	witnessSave = 2 * time.Second
	// maxEarly bounds the words of witnesses for a head that is not here yet.
	maxEarly = 64
)

// witnessing is what a node needs to sign heads as a witness and to pass on the
// words of others. notices.mu guards it.
type witnessing struct {
	by    *directory.View // the view held before the newest: its witnesses count
	early []earlyWord
	dirty bool // the head in memory has more than that on disk
}

// earlyWord is a witness's word for a head that this node does not hold.
type earlyWord struct {
	header [32]byte
	word   directory.Witness
}

// appendWitness appends a WITNESS body: header hash 32, then the word.
func appendWitness(b []byte, header [32]byte, w directory.Witness) []byte {
	return w.Append(append(b, header[:]...))
}

func parseWitness(b []byte) (header [32]byte, w directory.Witness, err error) {
	if len(b) != 32+directory.WitnessSize {
		return header, w, errTruncated
	}
	w, err = directory.ParseWitness(b[32:])
	return [32]byte(b), w, err
}

// placeOf returns the place in the log of an encoded head.
func placeOf(raw []byte) (uint64, error) {
	h, err := directory.ParseHead(raw)
	if err != nil {
		return 0, fmt.Errorf("stored head: %w", err)
	}
	return h.Header.LogSize, nil
}

// witness signs the head that was just installed, if this node is a witness by
// the snapshot that it held before, and cleans it of words that do not count. The
// state that forbids any other history is on disk by now. n.installing is held.
func (n *Node) witness(h *directory.Head) {
	n.mu.Lock()
	state, view := n.state, n.view
	n.mu.Unlock()
	w := n.notices
	w.mu.Lock()
	by := w.by
	if w.by = view; by == nil {
		by = view
	}
	early := w.early
	w.early = nil
	w.mu.Unlock()

	var words []directory.Witness
	if r, ok := by.Relay(n.cfg.Self); ok && r.Flags&directory.FlagWitness != 0 && n.cfg.Identity != nil {
		own, err := state.Witness(h, n.cfg.Identity, time.Now())
		if err != nil {
			n.log.Warn("head not witnessed", logEpoch, h.Header.Epoch, logReason, err)
		} else {
			words = append(words, own)
		}
	}
	hash := h.Hash()
	for _, e := range early {
		if e.header == hash {
			words = append(words, e.word)
		}
	}
	isWitness := func(id directory.RelayID) bool {
		return isWitness(by, id) || isWitness(view, id)
	}
	clean := *h
	clean.KeepWitnesses(isWitness)
	changed := len(clean.Witnesses()) != len(h.Witnesses())
	var fresh []directory.Witness
	for _, x := range words {
		had := len(clean.Witnesses())
		if isWitness(x.Relay) && clean.AddWitness(x) == nil && len(clean.Witnesses()) > had {
			fresh = append(fresh, x)
		}
	}
	if changed || len(fresh) > 0 {
		n.setWitnessed(&clean)
	}
	for _, x := range fresh {
		n.spreadWitness(hash, x, nil)
	}
}

func isWitness(v *directory.View, id directory.RelayID) bool {
	r, ok := v.Relay(id)
	return ok && r.Flags&directory.FlagWitness != 0
}

// setWitnessed puts a head with other words of witnesses in the place of the
// newest one. It does nothing if a newer one came. n.installing is held, so that the
// snapshot stays while it is encoded.
func (n *Node) setWitnessed(h *directory.Head) {
	n.mu.Lock()
	head, raw := n.head, n.snapshot
	n.mu.Unlock()
	if head == nil || head.Hash() != h.Hash() {
		return
	}
	s, err := directory.ParseSnapshot(raw)
	if err != nil {
		n.log.Error("own snapshot does not parse", logReason, err)
		return
	}
	s.Head = *h
	if raw, err = s.Encode(); err != nil {
		n.log.Error("own snapshot does not encode", logReason, err)
		return
	}
	n.mu.Lock()
	n.head, n.snapshot = h, raw
	n.mu.Unlock()
	n.notices.mu.Lock()
	n.notices.dirty = true
	n.notices.mu.Unlock()
	select {
	case n.notices.changed <- struct{}{}:
	default:
	}
}

// saveWitnessed writes the newest head with the words of witnesses that came
// since.
func (n *Node) saveWitnessed() {
	n.installing.Lock() // no newer snapshot may come between
	defer n.installing.Unlock()
	w := n.notices
	w.mu.Lock()
	dirty := w.dirty
	w.dirty = false
	w.mu.Unlock()
	n.mu.Lock()
	head, snapshot := n.head, n.snapshot
	n.mu.Unlock()
	if !dirty || head == nil {
		return
	}
	raw, err := head.Encode()
	if err == nil {
		err = n.archive.saveWitnessed(head.Header.Epoch, raw, snapshot)
	}
	if err != nil {
		n.log.Warn("words of witnesses are not saved", logReason, err)
	}
}

// onWitness takes a witness's word from a peer. Words of relays that are no
// witnesses here are dropped and nobody is blamed, since views differ; a witness's
// word that does not verify was never its own.
func (ss *session) onWitness(body []byte) error {
	hash, word, err := parseWitness(body)
	if err != nil {
		return err
	}
	n := ss.n
	n.mu.Lock()
	head, view := n.head, n.view
	n.mu.Unlock()
	if head == nil {
		return nil
	}
	w := n.notices
	w.mu.Lock()
	known := isWitness(view, word.Relay) || w.by != nil && isWitness(w.by, word.Relay)
	if known && head.Hash() != hash && len(w.early) < maxEarly {
		w.early = append(w.early, earlyWord{hash, word})
	}
	w.mu.Unlock()
	if !known || head.Hash() != hash {
		return nil
	}
	more := *head
	had := len(more.Witnesses())
	if err := more.AddWitness(word); err != nil {
		n.log.Warn("a witness's word does not verify", logPeer, ss.peer.String(), logReason, err)
		n.limits.punish(ss.peer, time.Now())
		return errRefused
	}
	if len(more.Witnesses()) == had {
		return nil
	}
	n.mergeWitness(hash, word)
	n.spreadWitness(hash, word, ss)
	return nil
}

// mergeWitness adds a verified word to the newest head.
func (n *Node) mergeWitness(hash [32]byte, word directory.Witness) {
	n.installing.Lock() // words come from many streams at once
	defer n.installing.Unlock()
	n.mu.Lock()
	head := n.head
	n.mu.Unlock()
	if head.Hash() != hash {
		return
	}
	more := *head
	if more.AddWitness(word) == nil && len(more.Witnesses()) > len(head.Witnesses()) {
		n.setWitnessed(&more)
	}
}

// spreadWitness tells all streams but the one it came from.
func (n *Node) spreadWitness(hash [32]byte, word directory.Witness, from *session) {
	body := appendWitness(nil, hash, word)
	for _, ss := range n.open() {
		if from == nil || ss.peer != from.peer {
			ss.send(TypeWitness, body)
		}
	}
}
