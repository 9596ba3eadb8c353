package gossip

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"hearsay/directory"
)

// nameNotices is the name under which a Client keeps what speaks against the
// directory (SPEC.md §10.3).
const nameNotices = "directory.notices"

// Specification constants of a client's caution (SPEC.md §13.5).
const (
	cautionVersion = 1
	maxHeld        = 32             // pieces of evidence that a client keeps
	shrinkMemory   = 24 * time.Hour // then a network that shrank is taken for what it is
	clockDoubt     = 3              // places that know nothing newer than an old snapshot
)

// caution is what a client knows against its directory, over restarts. It is used
// by the goroutine of Client.Run alone.
type caution struct {
	state State
	views *directory.Views
	log   *slog.Logger

	evidence   []*directory.Evidence // severe
	successors []*directory.Successor
	few        time.Time // since when too few witnesses signed the newest snapshot; zero: enough did
	shrunk     time.Time // the snapshot's time in which relays vanished; zero: none
	shrinkText string
	before     *directory.View // what it was compared with; nil after a restart
	looked     map[[32]byte]struct{}
}

// encode returns what is kept: version u8, few u64, shrunk u64, length u16 and
// text, then notices as in an answer.
func (k *caution) encode() []byte {
	b := []byte{cautionVersion}
	b = binary.BigEndian.AppendUint64(b, unixOf(k.few))
	b = binary.BigEndian.AppendUint64(b, unixOf(k.shrunk))
	b = binary.BigEndian.AppendUint16(b, uint16(len(k.shrinkText)))
	b = append(b, k.shrinkText...)
	for _, e := range k.evidence {
		b = appendNotice(b, notice{noticeEvidence, e.Raw()})
	}
	for _, s := range k.successors {
		b = appendNotice(b, notice{noticeSuccessor, s.Bytes()})
	}
	return b
}

// load takes up what an earlier run kept and warns of it.
func (k *caution) load(chain *directory.Chain, now time.Time) error {
	b, err := k.state.Load(nameNotices)
	if err != nil || b == nil {
		return err
	}
	if len(b) < 19 || b[0] != cautionVersion || len(b) < 19+int(binary.BigEndian.Uint16(b[17:])) {
		return errTruncated
	}
	n := 19 + int(binary.BigEndian.Uint16(b[17:]))
	k.few, k.shrunk = timeOf(binary.BigEndian.Uint64(b[1:])), timeOf(binary.BigEndian.Uint64(b[9:]))
	k.shrinkText = string(b[19:n])
	list, err := parseNotices(b[n:])
	if err != nil {
		return err
	}
	for _, x := range list {
		if x.kind == noticeEvidence {
			e, err := chain.ParseEvidence(x.raw)
			if err != nil {
				return err
			}
			k.evidence = append(k.evidence, e)
			continue
		}
		// Founders may have been replaced since; then it says nothing any more.
		if s, err := chain.ParseSuccessor(x.raw); err == nil {
			k.successors = append(k.successors, s)
		}
	}
	k.warn(chain, now)
	return nil
}

func (k *caution) save() error {
	if err := k.state.Save(nameNotices, k.encode()); err != nil {
		return fmt.Errorf("gossip: save notices: %w", err)
	}
	return nil
}

// warn tells people, and the choice of guards, what stands now.
func (k *caution) warn(chain *directory.Chain, now time.Time) {
	k.views.Warn(directory.WarnEvidence, evidenceWarnings(chain, k.evidence, now)...)
	k.views.Warn(directory.WarnSuccessor, successorWarnings(chain, k.successors)...)
	var few, shrunk []directory.Warning
	if !k.few.IsZero() {
		few = append(few, directory.Warning{Text: "too few witnesses have signed the newest snapshot, so another one may have been shown to others: no new guards until they have", Since: k.few})
	}
	if !k.shrunk.IsZero() {
		shrunk = append(shrunk, directory.Warning{Text: k.shrinkText + ": no new guards for a day", Since: k.shrunk})
	}
	k.views.Warn(directory.WarnWitnesses, few...)
	k.views.Warn(directory.WarnShrink, shrunk...)
}

// take looks at notices that a peer gave. It tells whether any was new, and fails
// if evidence proves nothing: peers pass on only what they verified.
func (k *caution) take(chain *directory.Chain, list []notice, now time.Time) (fresh bool, err error) {
	for _, x := range list {
		switch {
		case x.kind == noticeSuccessor:
			s, err := chain.ParseSuccessor(x.raw)
			if err != nil {
				continue // a newer network file may have other founders
			}
			next, _, added := addSuccessor(k.successors, s)
			k.successors, fresh = next, fresh || added
		case !severe(x.raw):
			// Quarrels of signers and relays are for operators.
		default:
			sum := sha256.Sum256(x.raw)
			if _, ok := k.looked[sum]; ok {
				continue
			}
			e, err := chain.ParseEvidence(x.raw)
			if errors.Is(err, directory.ErrFileBehind) {
				continue
			}
			if err != nil {
				return fresh, err
			}
			fresh = k.add(e) || fresh
		}
	}
	if fresh {
		if err := k.save(); err != nil {
			return fresh, err
		}
		k.warn(chain, now)
	}
	return fresh, nil
}

// severe tells the kind of evidence before it is parsed.
func severe(raw []byte) bool {
	kind := directory.EvidenceKind(raw[0])
	return kind == directory.EvidenceFork || kind == directory.EvidenceRewrite
}

// add keeps verified evidence if it blames somebody new.
func (k *caution) add(e *directory.Evidence) bool {
	if k.looked == nil || len(k.looked) >= maxLooked {
		k.looked = make(map[[32]byte]struct{})
	}
	k.looked[sha256.Sum256(e.Raw())] = struct{}{}
	if !e.Severe() || !e.News(k.evidence) || len(k.evidence) >= maxHeld {
		return false
	}
	k.log.Error("EVIDENCE: people were shown two histories of the network", logReason, e.Text())
	k.evidence = append(k.evidence, e)
	return true
}

// installed looks at a verified snapshot before anybody uses it: how many
// witnesses signed it, and whether the network shrank.
func (k *caution) installed(chain *directory.Chain, h *directory.Head, before, view *directory.View, now time.Time) error {
	had := k.encode()
	k.witnessed(chain, h, before, view, now)
	switch text := directory.Shrunk(before, view); {
	case text != "":
		k.shrunk, k.shrinkText = view.ValidAfter(), text
		if k.before == nil {
			k.before = before
		}
	case !k.shrunk.IsZero() && (view.ValidAfter().Sub(k.shrunk) > directory.Scale(view.Lab(), shrinkMemory) || k.before != nil && directory.Shrunk(k.before, view) == ""):
		k.shrunk, k.shrinkText, k.before = time.Time{}, "", nil
	}
	if slices.Equal(had, k.encode()) {
		return nil
	}
	return k.save()
}

// witnessed notes whether enough witnesses signed a head. Those count that the
// view named which was held before.
func (k *caution) witnessed(chain *directory.Chain, h *directory.Head, before, view *directory.View, now time.Time) (enough bool) {
	by := before
	if by == nil {
		by = view
	}
	have, need := chain.Witnessed(h, by)
	switch {
	case have >= need:
		k.few = time.Time{}
	case k.few.IsZero():
		k.few = time.Unix(now.Unix(), 0)
	}
	return have >= need
}

func unixOf(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.Unix())
}

func timeOf(u uint64) time.Time {
	if u == 0 {
		return time.Time{}
	}
	return time.Unix(int64(min(u, 1<<40)), 0)
}
