package rpc

import (
	"context"
	"time"

	"hearsay/chat"
)

// networkShape is the network view. Relays and circuits have the names that
// screens show; status tells circuits by ids.
type networkShape struct {
	Network    string  `json:"network"`
	Lab        bool    `json:"lab"`
	Epoch      uint64  `json:"epoch"`
	Age        float64 `json:"age_s"`
	Signatures int     `json:"signatures"`
	Signers    int     `json:"signers"`
	Threshold  int     `json:"threshold"`
	Founders   bool    `json:"by_founders"`
	Skew       float64 `json:"clock_skew_s"`

	Relays    []relayShape `json:"relays"` // at most maxRelays
	Listed    int          `json:"listed"`
	Guards    int          `json:"guards"`
	Mailboxes int          `json:"mailboxes"`
	Circuits  []pathView   `json:"circuits"`

	Guard  *string  `json:"guard"`
	Since  *stamp   `json:"guard_since"`
	Layer2 []string `json:"layer2"`
	Family float64  `json:"largest_family"`
	Cover  string   `json:"cover"`
	MB     int      `json:"cover_mb_day"`

	Queues int     `json:"queues"`
	Single int     `json:"single_copy"`
	Move   *stamp  `json:"next_move"`
	Burst  float64 `json:"burst_s"`

	Lends *lentShape `json:"lends"`

	Missing  []string `json:"missing"`
	Warnings []string `json:"warnings"`
}

// relayShape is a listed relay.
type relayShape struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Guard    bool     `json:"guard"`
	Mailbox  bool     `json:"mailbox"`
	Address  string   `json:"address"`
	Family   *string  `json:"family"`
	Families int      `json:"family_relays"`
	Standing []string `json:"standing"`
	Marks    []string `json:"marks"`
	Role     *string  `json:"role"`
}

// lentShape is the relay that runs beside the profile.
type lentShape struct {
	Name      string  `json:"name"`
	Address   string  `json:"address"`
	Bandwidth int64   `json:"bandwidth"`
	Listed    bool    `json:"listed"`
	Problem   *string `json:"problem"`
	Waits     *string `json:"waits"`
}

func shapeLent(v *chat.LentView) *lentShape {
	if v == nil {
		return nil
	}
	return &lentShape{v.Name, v.Address, v.Bandwidth, v.Listed, textOrNull(v.Problem), textOrNull(v.Waits)}
}

func (l *lentShape) view() *chat.LentView {
	if l == nil {
		return nil
	}
	return &chat.LentView{Lent: chat.Lent{Address: l.Address, Bandwidth: l.Bandwidth, Problem: text(l.Problem), Waits: text(l.Waits)}, Name: l.Name, Listed: l.Listed}
}

// pathView is a circuit in names.
type pathView struct {
	ID          string   `json:"id"`
	Purpose     string   `json:"purpose"`
	Relays      []string `json:"relays"`
	Destination *string  `json:"destination"`
	State       string   `json:"state"`
	RTT         *int64   `json:"rtt_ms"`
}

// maxRelays is how many relays one line tells of; each takes up to 400 bytes.
const maxRelays = 2000

// fewerRelays keeps the relays that fit into a line: those that are something to
// us, and then the first by name.
func fewerRelays(all []chat.RelayView) []chat.RelayView {
	left := maxRelays
	for _, r := range all {
		if r.Role != "" {
			left--
		}
	}
	var some []chat.RelayView
	for _, r := range all {
		if r.Role == "" {
			if left--; left < 0 {
				continue
			}
		}
		some = append(some, r)
	}
	return some
}

func shapeNetwork(v chat.NetworkView) networkShape {
	return networkShape{
		Network: v.Network, Lab: v.Lab, Epoch: v.Epoch, Age: seconds(v.SnapshotAge),
		Signatures: v.Signatures, Signers: v.Signers, Threshold: v.Threshold, Founders: v.ByFounders, Skew: seconds(v.ClockSkew),
		Relays: list(fewerRelays(v.Relays), func(r chat.RelayView) relayShape {
			return relayShape{
				r.ID, r.Name, r.Guard, r.Mailbox, r.Address, textOrNull(r.Family), r.Families,
				append([]string{}, r.Standing...), append([]string{}, r.Marks...), textOrNull(r.Role),
			}
		}),
		Listed: v.Listed, Guards: v.Guards, Mailboxes: v.Mailboxes,
		Circuits: list(v.Circuits, func(c chat.CircuitView) pathView {
			return pathView{c.ID, c.Purpose, append([]string{}, c.Relays...), textOrNull(c.Destination), c.State, shapeRTT(c.RTT)}
		}),
		Guard: textOrNull(v.Guard), Since: stampOrNull(v.GuardSince), Layer2: append([]string{}, v.Layer2...), Family: v.Family,
		Cover: v.Cover, MB: v.CoverMB, Queues: v.Queues, Single: v.Single, Move: stampOrNull(v.NextMove), Burst: seconds(v.Burst),
		Lends: shapeLent(v.Lends), Missing: append([]string{}, v.Missing...), Warnings: append([]string{}, v.Warnings...),
	}
}

func (n *networkShape) view() chat.NetworkView {
	return chat.NetworkView{
		Network: n.Network, Lab: n.Lab, Epoch: n.Epoch, SnapshotAge: duration(n.Age),
		Signatures: n.Signatures, Signers: n.Signers, Threshold: n.Threshold, ByFounders: n.Founders, ClockSkew: duration(n.Skew),
		Relays: list(n.Relays, func(r relayShape) chat.RelayView {
			return chat.RelayView{
				ID: r.ID, Name: r.Name, Guard: r.Guard, Mailbox: r.Mailbox, Address: r.Address, Family: text(r.Family),
				Families: r.Families, Standing: r.Standing, Marks: r.Marks, Role: text(r.Role),
			}
		}),
		Listed: n.Listed, Guards: n.Guards, Mailboxes: n.Mailboxes,
		Circuits: list(n.Circuits, func(c pathView) chat.CircuitView {
			return chat.CircuitView{ID: c.ID, Purpose: c.Purpose, Relays: c.Relays, Destination: text(c.Destination), State: c.State, RTT: parseRTT(c.RTT)}
		}),
		Guard: text(n.Guard), GuardSince: timeOf(n.Since), Layer2: n.Layer2, Family: n.Family,
		Cover: n.Cover, CoverMB: n.MB, Queues: n.Queues, Single: n.Single, NextMove: timeOf(n.Move), Burst: duration(n.Burst),
		Lends: n.Lends.view(), Missing: n.Missing, Warnings: n.Warnings,
	}
}

// seconds writes a duration with milliseconds.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

func duration(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// textOrNull writes null for nothing.
func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func stampOrNull(t time.Time) *stamp {
	if t.IsZero() {
		return nil
	}
	return stampOf(&t)
}

func timeOf(s *stamp) time.Time {
	if s == nil {
		return time.Time{}
	}
	return time.Time(*s)
}

// viewMethod answers what concerns the network view.
func (s *server) viewMethod(method string, args *arguments) work {
	b := s.backend
	switch method {
	case "network":
		return func(ctx context.Context) (any, error) {
			v, err := b.NetworkView(ctx)
			return shapeNetwork(v), err
		}
	case "network.circuits":
		return nothing(b.NewCircuits)
	case "message.retry":
		id := args.text("id", true)
		return nothing(func(ctx context.Context) error { return b.Retry(ctx, id) })
	}
	return nil
}
