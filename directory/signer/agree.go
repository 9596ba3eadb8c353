package signer

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
)

// agree sends the next echo: which votes count, by the echoes of the attempt
// before, and what header follows (SPEC.md §7.3).
func (a *attempt) agree(ctx context.Context, now time.Time, t *tally) error {
	switch {
	case a.round >= maxAttempt:
		return nil
	case a.round <= 0:
		// Who came too late to say which votes came may still say which count.
		if now.Before(a.judge) && (a.round < 0 || len(t.once(0)) < len(a.jury.signers)) {
			return nil
		}
	case !a.split(now, t):
		return nil
	}
	if l := a.locked(); l != nil {
		// What this signer has signed in this slot it also says from now on.
		return a.sendEcho(a.round+1, slices.Clone(a.own[l.attempt].Votes), l.draft.snapshot.Hash())
	}
	round := max(a.round, 0)
	votes := a.counted(ctx, a.jury.named(t.once(round)), t)
	if votes == nil {
		return nil
	}
	d := a.draft(ctx, votes)
	if d == nil {
		return nil
	}
	list := make([][32]byte, 0, len(votes))
	for _, m := range votes {
		list = append(list, m.Vote.Hash())
	}
	return a.sendEcho(round+1, list, d.snapshot.Hash())
}

// split tells whether another attempt is of use: the present one had its time, k
// signers have spoken, and not all the same; or others are further already.
func (a *attempt) split(now time.Time, t *tally) bool {
	if now.Before(a.roundAt.Add(a.slot.round)) {
		return false
	}
	echoes, mine := t.once(a.round), a.own[uint8(a.round)].Header
	for _, m := range echoes {
		if m.Echo.Header != mine && slices.Equal(m.Echo.Votes, a.own[uint8(a.round)].Votes) {
			a.warn("differ", "a signer comes to another header from the same votes: do all run one version of the program?", directory.ErrBadHeader)
		}
	}
	differ := slices.ContainsFunc(echoes, func(m *directory.SignerMessage) bool { return m.Echo.Header != mine })
	return len(echoes) >= a.jury.k && differ || len(t.echoes[a.round+1]) > 0
}

// locked returns the header that this signer has signed in this slot.
func (a *attempt) locked() *lock {
	for _, l := range a.s.pending {
		if l.epoch == a.epoch && a.own[l.attempt] != nil {
			return l
		}
	}
	return nil
}

// counted returns the votes with the hashes, of each signer one at most; nil if
// fewer than k count, or one, or a record that it names, is not here yet.
func (a *attempt) counted(ctx context.Context, hashes [][32]byte, t *tally) []*directory.SignerMessage {
	var votes []*directory.Vote
	found := make(map[[32]byte]*directory.SignerMessage)
	for _, h := range hashes {
		m := a.message(ctx, h, t)
		if m == nil || !a.counts(m) {
			return nil
		}
		found[h] = m
		votes = append(votes, m.Vote)
	}
	votes = a.jury.single(votes)
	if len(votes) < a.jury.k {
		return nil
	}
	all := true
	var list []*directory.SignerMessage
	for _, v := range votes {
		all = a.hasRecords(ctx, v, a.s.fetch.get) && all // begin to fetch those of all
		list = append(list, found[v.Hash()])
	}
	if !all {
		return nil
	}
	return list
}

// message returns the vote with a hash from the board, or from who keeps it.
func (a *attempt) message(ctx context.Context, hash [32]byte, t *tally) *directory.SignerMessage {
	if m := t.byHash[hash]; m != nil {
		return m
	}
	return a.fetchVote(ctx, hash, a.at)
}

// fetchVote returns a vote from who keeps it. Its certificate must be good at the
// time given.
func (a *attempt) fetchVote(ctx context.Context, hash [32]byte, at time.Time) *directory.SignerMessage {
	raw := a.s.fetch.get(ctx, hash)
	if raw == nil {
		return nil
	}
	m, err := a.s.cfg.Node.Chain().ParseSignerMessage(raw, at)
	if err != nil || m.Vote == nil || m.Vote.Hash() != hash {
		return nil
	}
	return m
}

// draft computes what follows from counted votes: a new header, or one that was
// signed before and may be complete somewhere. It returns nil while something is
// missing.
func (a *attempt) draft(ctx context.Context, votes []*directory.SignerMessage) *draft {
	v := decide(plain(votes), a.then)
	if v.redo != nil {
		return a.old(ctx, v.redo.Header, v.redo.Epoch)
	}
	key := make([]byte, 0, 32*len(votes))
	for _, h := range hashesOf(votes) {
		key = append(key, h[:]...)
	}
	if h, ok := a.computed[string(key)]; ok {
		return a.drafts[h]
	}
	d, err := a.s.base.compute(source{
		chain: a.chain, at: a.at, votes: votes, records: a.named(ctx, votes, a.cutoff), abandoned: v.abandoned, as: a.s.cfg.AS,
	})
	if err != nil {
		a.warn("compute", "no snapshot follows from the votes", err)
		return nil
	}
	a.computed[string(key)] = d.snapshot.Hash()
	a.drafts[d.snapshot.Hash()] = d
	return d
}

// then returns who was to sign at the time of an epoch.
func (a *attempt) then(epoch uint64) jury {
	return juryOf(a.chain.InForce(directory.EpochTime(a.s.lab, epoch)).Current())
}

// named returns the records that the votes name, which are all here.
func (a *attempt) named(ctx context.Context, votes []*directory.SignerMessage, at time.Time) []*directory.Record {
	seen := make(map[[16]byte]bool)
	var list []*directory.Record
	for _, m := range votes {
		for i := range m.Vote.Relays {
			rv := &m.Vote.Relays[i]
			if r := a.record(ctx, rv, at, a.s.fetch.get); r != nil && !seen[rv.Descriptor] {
				seen[rv.Descriptor] = true
				list = append(list, r)
			}
		}
	}
	return list
}

// old returns a header that was signed in an earlier slot: the one that this signer
// has signed itself, or the one that it computes anew from what others keep. It
// must come to the very same.
func (a *attempt) old(ctx context.Context, hash [32]byte, last uint64) *draft {
	if l := a.s.pending[hash]; l != nil {
		return l.draft
	}
	if d := a.drafts[hash]; d != nil {
		return d
	}
	raw := a.s.fetch.get(ctx, hash)
	if raw == nil {
		return nil
	}
	head, err := directory.ParseHead(raw)
	if err != nil || head.Hash() != hash {
		return nil
	}
	h := &head.Header
	if prev := a.s.base.header(); h.Epoch > last || prev != nil && h.Epoch <= prev.Epoch {
		a.warn("old", "a vote names a header that does not follow", directory.ErrBadHeader)
		return nil
	}
	at := slotAt(a.s.lab, a.s.base.header(), h.ValidAfter)
	j := a.then(h.Epoch)
	var votes []*directory.SignerMessage
	all := true
	for _, v := range h.Votes {
		m := a.fetchVote(ctx, v, h.ValidAfter)
		if m == nil {
			all = false
			continue
		}
		if m.Vote.Epoch != h.Epoch || m.Vote.Previous != a.s.base.hash() || !j.has(m.Signer()) || !a.proves(m.Vote) {
			a.warn("old", "a pending header counts votes that do not count", directory.ErrBadHeader)
			return nil
		}
		for i := range m.Vote.Relays {
			all = a.record(ctx, &m.Vote.Relays[i], at.cutoff, a.s.fetch.get) != nil && all
		}
		votes = append(votes, m)
	}
	if !all {
		return nil
	}
	v := decide(plain(votes), a.then)
	if v.redo != nil || len(j.single(plain(votes))) < j.k {
		a.warn("old", "a pending header does not follow from its votes", directory.ErrBadHeader)
		return nil
	}
	d, err := a.s.base.compute(source{
		chain: a.chain.InForce(h.ValidAfter), at: h.ValidAfter, votes: votes,
		records: a.named(ctx, votes, at.cutoff), abandoned: v.abandoned, as: a.s.cfg.AS,
	})
	if err != nil || d.snapshot.Hash() != hash {
		a.warn("old", "this program comes to another header than a signer before it", fmt.Errorf("epoch %d: %w", h.Epoch, err))
		return nil
	}
	a.drafts[hash] = d
	return d
}

func plain(votes []*directory.SignerMessage) []*directory.Vote {
	list := make([]*directory.Vote, 0, len(votes))
	for _, m := range votes {
		list = append(list, m.Vote)
	}
	return list
}

func hashesOf(votes []*directory.SignerMessage) [][32]byte {
	list := make([][32]byte, 0, len(votes))
	for _, m := range votes {
		list = append(list, m.Vote.Hash())
	}
	slices.SortFunc(list, compareHashes)
	return list
}

// sign signs the header that k signers name in this signer's last attempt, and
// tells the others. It is on disk before that, and so is what it needs to go on.
func (a *attempt) sign(ctx context.Context, _ time.Time, t *tally) error {
	if a.round < 1 || a.locked() != nil {
		return nil
	}
	mine := a.own[uint8(a.round)]
	var proof [][]byte
	for _, m := range t.once(a.round) {
		if m.Echo.Header == mine.Header {
			proof = append(proof, m.Raw())
		}
	}
	if len(proof) < a.jury.k {
		return nil
	}
	d := a.said(ctx, mine, t)
	if d == nil || !a.then(d.snapshot.Header.Epoch).has(a.s.id) {
		return nil
	}
	snap := d.snapshot.Unsigned()
	c, err := snap.Cosign(a.epoch, a.s.pages.certificate, a.s.cfg.Online)
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	raw, err := c.Sign(a.chain.ID(), a.s.cfg.Online)
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	m, err := a.s.seal(raw)
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	own := *d
	own.snapshot = snap
	return a.s.commit(&lock{draft: &own, epoch: a.epoch, attempt: uint8(a.round), proof: proof[:a.jury.k]}, m)
}

// said returns the draft that this signer has named in an echo. After a restart it
// is computed again.
func (a *attempt) said(ctx context.Context, e *directory.Echo, t *tally) *draft {
	if d := a.drafts[e.Header]; d != nil {
		return d
	}
	votes := a.counted(ctx, e.Votes, t)
	if votes == nil {
		return nil
	}
	d := a.draft(ctx, votes)
	if d == nil || d.snapshot.Hash() != e.Header {
		return nil
	}
	return d
}

// commit persists a header with this signer's signature, and only then tells the
// others of it.
func (s *Signer) commit(l *lock, m *directory.SignerMessage) error {
	d := l.draft
	head, err := d.snapshot.Head.Encode()
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	raw, err := d.snapshot.Encode()
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	// Who has to complete the header later finds here what it follows from.
	s.keep(l.epoch, append(slices.Clone(d.docs), gossip.Document{Hash: d.snapshot.Hash(), Raw: head}))
	g := signed{epoch: l.epoch, attempt: l.attempt, snapshot: raw, ledger: d.ledger.Append(nil), srv: d.srv.Append(nil), proof: l.proof}
	if err := s.book.sign(d.snapshot, g, m); err != nil {
		return err
	}
	s.pending[d.snapshot.Hash()] = l
	if err := s.crash(m); err != nil {
		return err
	}
	s.cfg.Board.Post(m)
	return nil
}

// release completes a header that k signers have signed, of this slot or of an
// earlier one, once its time has come: whoever holds k signatures publishes at once.
func (a *attempt) release(now time.Time, t *tally) (bool, error) {
	drafts := make(map[[32]byte]*draft, len(a.drafts)+len(a.s.pending))
	maps.Copy(drafts, a.drafts)
	for h, l := range a.s.pending {
		drafts[h] = l.draft // with this signer's signature
	}
	for h, d := range drafts {
		f, ok := a.s.cfg.Node.Chain().Version(d.snapshot.Header.FileVersion)
		if !ok || now.Before(d.snapshot.Header.ValidAfter) || len(t.cosigns[h]) == 0 {
			continue
		}
		j := juryOf(f)
		full := *d
		full.snapshot = a.join(d.snapshot.Unsigned(), j, t.cosigns[h])
		if full.snapshot.Signed() < j.k { // its own may have gone from the board
			own := *d.snapshot
			full.snapshot = a.join(&own, j, t.cosigns[h])
		}
		if full.snapshot.Signed() >= j.k {
			return true, a.s.finish(&full, false)
		}
	}
	return false, nil
}

// join adds partial signatures to a snapshot, of each signer the one under its newest
// certificate: readers refuse those that a newer one replaces.
func (a *attempt) join(snap *directory.Snapshot, j jury, cosigns []*directory.SignerMessage) *directory.Snapshot {
	cosigns = slices.Clone(cosigns)
	slices.SortStableFunc(cosigns, func(x, y *directory.SignerMessage) int { return cmp.Compare(y.Certificate.Seq, x.Certificate.Seq) })
	for _, m := range cosigns {
		if !j.has(m.Signer()) {
			continue
		}
		if err := snap.AddCosign(m.Cosign, m.RawCertificate); err != nil {
			h := snap.Hash()
			a.warn(string(h[:]), "a partial signature is no good", err)
		}
	}
	return snap
}

func compareHashes(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }
