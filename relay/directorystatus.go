package relay

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"hearsay/directory"
)

// Implementation constants of a directory's status.
const (
	certificateSoon = 14 * 24 * time.Hour // left of an online key that does not renew itself
	clockWrong      = 30                  // a clock off by this fraction of an epoch is named,
	clockFloor      = 2 * time.Second     // but not by less
)

// DirectoryReport is what a running directory node says of itself on its status
// socket (SPEC.md §12.4).
type DirectoryReport struct {
	V       int    `json:"v"`
	Type    string `json:"type"` // directory_status
	ID      string `json:"id"`
	Listen  string `json:"listen"`
	Network string `json:"network"`
	Version uint64 `json:"network_version"`
	Expires string `json:"network_expires"`
	Lab     bool   `json:"lab"`
	Since   string `json:"since"` // when it started

	Bootstrap bool `json:"bootstrap"` // the network file gives it an address
	Signer    bool `json:"signer"`    // it is one of the signers

	Epoch         uint64 `json:"epoch"` // 0: no snapshot yet
	SnapshotTime  string `json:"snapshot_time"`
	SnapshotAge   int    `json:"snapshot_age_seconds"`
	SnapshotState string `json:"snapshot_state"`
	Signatures    int    `json:"signatures"` // of the newest snapshot
	Signers       int    `json:"signers"`    // that there are
	Needed        int    `json:"signatures_needed"`
	// Of a signer.
	Signed        bool   `json:"signed_by_this"`     // the newest snapshot
	Voted         bool   `json:"vote_counted"`       // in the newest snapshot
	SignedSince   uint64 `json:"snapshots_signed"`   // since the start
	MissedSince   uint64 `json:"snapshots_missed"`   // since the start
	OnlineKeyEnds string `json:"online_key_ends"`    // empty: no signer
	Renews        bool   `json:"online_key_renewed"` // by the identity key in the home

	Relays      int `json:"relays"`       // that the newest snapshot lists
	Known       int `json:"relays_known"` // whose descriptors are held
	Records     int `json:"records"`      // descriptors and leave notices held
	Peers       int `json:"peers"`        // nodes with a gossip stream
	RelayLinks  int `json:"relay_links"`  // to proven identities
	ClientLinks int `json:"client_links"` // rounded up to a power of two

	ClockAhead  int `json:"clock_others_ahead_ms"` // by how much others' clocks are ahead, in the middle
	ClocksHeard int `json:"clocks_heard"`
	Warnings    []struct {
		Kind string `json:"kind"`
		Text string `json:"text"`
	} `json:"warnings"`
}

// AskDirectoryStatus asks the directory that runs in the home for its status, over
// the socket there. It fails with ErrNotRunning if none runs.
func AskDirectoryStatus(ctx context.Context, dir string) (*DirectoryReport, error) {
	return ask(ctx, dir, func(r io.Reader) (*DirectoryReport, error) {
		return readAnswer[DirectoryReport](r, "directory_status")
	})
}

// serveStatus answers on the home's status socket until ctx ends.
func (n *DirectoryNode) serveStatus(ctx context.Context, l net.Listener) {
	since := time.Now()
	serveSocket(ctx, l, n.log, func(c net.Conn, now time.Time) {
		answerStatus(c, now, func() *DirectoryReport { return n.report(now, since) })
	})
}

// warn adds a warning.
func (r *DirectoryReport) warn(kind, format string, args ...any) {
	r.Warnings = append(r.Warnings, struct {
		Kind string `json:"kind"`
		Text string `json:"text"`
	}{kind, fmt.Sprintf(format, args...)})
}

// report says how the node stands.
func (n *DirectoryNode) report(now, since time.Time) *DirectoryReport {
	chain, g := n.gossip.Chain(), n.gossip.Status()
	file, own := chain.Current(), n.ID().Prefix()
	r := &DirectoryReport{
		V: 1, Type: "directory_status", ID: n.ID().String(), Listen: n.Addr().String(),
		Network: file.Name, Version: file.Version, Expires: statusTime(file.Expires), Lab: file.Lab, Since: statusTime(since),
		Signer: n.signer != nil, Signers: len(file.Signers), Needed: directory.SignThreshold(len(file.Signers)),
		Peers: g.Peers, Records: g.Records, Known: n.known(),
	}
	for _, b := range file.Bootstraps {
		r.Bootstrap = r.Bootstrap || b.ID == own
	}
	r.RelayLinks, r.ClientLinks = n.endpoint.Count()
	r.ClientLinks = roundUp(r.ClientLinks)
	r.Warnings = make([]struct {
		Kind string `json:"kind"`
		Text string `json:"text"`
	}, 0)
	r.snapshot(n, now)
	if n.signer != nil {
		r.signing(n, now)
	}
	for _, w := range n.views.Warnings(now) {
		r.warn(string(w.Kind), "%s", w.Text)
	}
	if g.Differing > 0 {
		r.warn("heads", "other nodes hold signed snapshots that deny this directory's history")
	}
	r.clock(n)
	switch {
	case !now.Before(file.Expires):
		r.warn("network file", "the network file expired on %s, and with it the network", file.Expires.UTC().Format(time.DateOnly))
	case file.ExpiresSoon(now):
		r.warn("network file", "the network file expires on %s, and with it the network: `founder amend --expires 730` renews it", file.Expires.UTC().Format(time.DateOnly))
	}
	return r
}

// known counts the relays whose descriptors are held.
func (n *DirectoryNode) known() (count int) {
	for _, r := range n.gossip.Store().Records() {
		if r.Descriptor != nil {
			count++
		}
	}
	return count
}

// snapshot says what the newest snapshot is.
func (r *DirectoryReport) snapshot(n *DirectoryNode, now time.Time) {
	v := n.views.Current()
	if v == nil {
		if r.Needed > 1 {
			r.warn("no snapshot", "no snapshot of the network has come yet: %d of the %d signers must run for one", r.Needed, r.Signers)
		} else {
			r.warn("no snapshot", "no snapshot of the network has come yet")
		}
		return
	}
	age := now.Sub(v.ValidAfter())
	r.Epoch, r.SnapshotTime, r.SnapshotAge = v.Epoch(), statusTime(v.ValidAfter()), int(age/time.Second)
	r.SnapshotState, r.Relays = v.State(now).String(), len(v.Relays())
	if have, of, need := v.Signed(); of > 0 {
		r.Signatures, r.Signers, r.Needed = have, of, need
	}
	if age > 3*v.EpochLength() {
		r.warn("old snapshot", "two epochs have passed without a new snapshot; the newest is %v old", age.Round(time.Second))
	}
	if _, founders := v.ByFounders(); !founders && r.Needed > 1 && r.Signatures == r.Needed && r.Signers > r.Needed {
		r.warn("signatures", "no more than the %d signatures that are needed: one signer less, and there are no new snapshots", r.Needed)
	}
}

// signing says what this signer has done.
func (r *DirectoryReport) signing(n *DirectoryNode, now time.Time) {
	s := n.signer.Standing()
	current := s.Epoch != 0 && s.Epoch == r.Epoch
	r.Signed, r.Voted = current && s.Signed, current && s.Voted
	r.SignedSince, r.MissedSince = s.SignedSince, s.MissedSince
	r.OnlineKeyEnds, r.Renews = statusTime(s.CertificateEnds), s.Renews
	switch left := s.CertificateEnds.Sub(now); {
	case s.Renews:
	case left <= 0:
		r.warn("online key", "the online key ended on %s: nothing it signs counts; renew it by `hearsay-directory rotate`", s.CertificateEnds.UTC().Format(time.DateOnly))
	case left < certificateSoon:
		r.warn("online key", "the online key ends on %s, and the identity key is not in this home: renew it by `hearsay-directory rotate`", s.CertificateEnds.UTC().Format(time.DateOnly))
	}
	switch {
	case !n.restored.IsZero() && r.Epoch == 0:
		r.warn("restored", "the keys were put back without what belonged to them: it signs nothing before it has the history from the other signers")
	case now.Before(s.SilentUntil):
		r.warn("restored", "the keys were put back without what belonged to them: it signs nothing before %s UTC", s.SilentUntil.UTC().Format(time.DateTime))
	case r.Epoch != 0 && !current:
		r.warn("behind", "this signer does not go on from the newest snapshot yet")
	case current && !s.Signed:
		r.warn("vote", "the newest snapshot was made without this signer")
	case current && !s.Voted:
		r.warn("vote", "the newest snapshot does not count this signer's vote")
	}
}

// clock says how the clock compares with those of other bootstraps.
func (r *DirectoryReport) clock(n *DirectoryNode) {
	ahead, heard := n.gossip.ClockOffset()
	r.ClockAhead, r.ClocksHeard = int(ahead/time.Millisecond), heard
	limit := clockFloor
	if v := n.views.Current(); v != nil {
		limit = max(limit, v.EpochLength()/clockWrong)
	}
	if heard > 0 && ahead.Abs() > limit {
		r.warn("clock", "this computer's clock is %v off, by those of other directories", ahead.Abs().Round(time.Second))
	}
}

// memoryStep is what a directory's memory is rounded up to: it grows with who is
// connected (SPEC.md §14.1).
const memoryStep = 16 << 20

// DirectoryFigures are a directory's figures for monitoring (SPEC.md §14.1).
type DirectoryFigures struct {
	Signer      bool
	Signed      uint64    // snapshots since the start
	Missed      uint64    // snapshots since the start
	SnapshotAt  time.Time // zero: none yet
	Signatures  int       // of the newest snapshot
	Relays      int       // listed
	Records     int       // descriptors and leave notices held
	KeyEnds     time.Time // of the online key; zero: no signer
	MemoryBytes uint64    // heap, rounded up to 16 MiB
}

// Figures returns the figures now. It is safe for concurrent use, while the node runs.
func (n *DirectoryNode) Figures() DirectoryFigures {
	f := DirectoryFigures{Signer: n.signer != nil, Records: n.gossip.Store().Len()}
	if v := n.views.Current(); v != nil {
		f.SnapshotAt, f.Relays = v.ValidAfter(), len(v.Relays())
		f.Signatures, _, _ = v.Signed()
	}
	if n.signer != nil {
		s := n.signer.Standing()
		f.Signed, f.Missed, f.KeyEnds = s.SignedSince, s.MissedSince, s.CertificateEnds
	}
	f.MemoryBytes = (heapObjects()() + memoryStep - 1) / memoryStep * memoryStep
	return f
}
