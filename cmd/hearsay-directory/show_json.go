package main

import (
	"fmt"
	"io"

	"hearsay/cmd/program"
	"hearsay/directory"
)

type snapshotJSON struct {
	V           int               `json:"v"`
	Type        string            `json:"type"`
	Epoch       uint64            `json:"epoch"`
	Header      string            `json:"header"` // SHA-256
	ValidAfter  string            `json:"valid_after"`
	ValidUntil  string            `json:"valid_until"`
	EpochS      int               `json:"epoch_seconds"`
	AgeS        int               `json:"age_seconds"`
	State       string            `json:"state"`
	FileVersion uint64            `json:"file_version"`
	Signed      []string          `json:"signed"`
	NotSigned   []string          `json:"not_signed"`
	Witnesses   int               `json:"witnesses_signed"`
	Listed      int               `json:"witnesses_listed"`
	Flags       []string          `json:"flags"`
	Relays      uint64            `json:"relays"`
	GuardKiB    uint64            `json:"guard_kib_s"`
	InnerKiB    uint64            `json:"inner_kib_s"`
	MailboxKiB  uint64            `json:"mailbox_kib_s"`
	Recommended []string          `json:"recommended"`
	KeptOut     map[string]uint32 `json:"kept_out"`
	Lab         bool              `json:"lab"`
}

type relayJSON struct {
	V          int      `json:"v"`
	Type       string   `json:"type"`
	ID         string   `json:"id"`
	Flags      []string `json:"flags"`
	GuardKiB   uint64   `json:"guard_kib_s"`
	InnerKiB   uint64   `json:"inner_kib_s"`
	MailboxKiB uint64   `json:"mailbox_kib_s"`
	Addresses  []string `json:"addresses"`
	AS         string   `json:"as"`
	Family     string   `json:"family"`
	Software   string   `json:"software"`
}

type groupJSON struct {
	V       int    `json:"v"`
	Type    string `json:"type"`
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Relays  int    `json:"relays"`
	Guard   uint64 `json:"guard_per_mille"`
	Inner   uint64 `json:"inner_per_mille"`
	Mailbox uint64 `json:"mailbox_per_mille"`
}

type healthJSON struct {
	V       int      `json:"v"`
	Type    string   `json:"type"`
	Missing []string `json:"missing"`
}

type evidenceJSON struct {
	V        int      `json:"v"`
	Type     string   `json:"type"`
	Text     string   `json:"text"`
	Culprits []string `json:"culprits"`
	Severe   bool     `json:"severe"`
	Answered bool     `json:"answered"`
}

type successorJSON struct {
	V    int      `json:"v"`
	Type string   `json:"type"`
	Link string   `json:"link"`
	Made string   `json:"made"`
	By   []string `json:"by"`
}

// printJSON prints a line for the network file, the snapshot, each relay, the
// largest group of each kind, the health, and each notice.
func (p *picture) printJSON(w io.Writer) error {
	h := &p.snap.Header
	file := describeFile("network", p.chain.ID(), p.chain.Current())
	file.Link = p.chain.Link(nil).String()
	lines := []any{file}
	s := snapshotJSON{
		V: 1, Type: "snapshot", Epoch: h.Epoch, Header: fmt.Sprintf("%x", p.snap.Hash()), ValidAfter: program.JSONTime(h.ValidAfter), ValidUntil: program.JSONTime(h.ValidUntil),
		EpochS: int(h.NextEpoch.Seconds()), AgeS: int(p.age().Seconds()), State: p.view.State(p.now).String(), FileVersion: h.FileVersion,
		Signed: labelList(p.signed), NotSigned: labelList(p.not), Witnesses: p.seen, Listed: p.all,
		Flags: texts(h.Flags.Names()), Relays: h.N, GuardKiB: h.Totals[0] >> 20, InnerKiB: h.Totals[1] >> 20, MailboxKiB: h.Totals[2] >> 20,
		Recommended: texts(h.Recommended), KeptOut: map[string]uint32{}, Lab: h.Lab(),
	}
	for r, n := range p.snap.Tables.Rules {
		s.KeptOut[directory.Rule(r).String()] += n
	}
	lines = append(lines, s)
	for i := range p.snap.Entries {
		e := &p.snap.Entries[i]
		r := relayJSON{
			V: 1, Type: "relay", ID: e.ID.String(), Flags: texts(e.Flags.Names()), AS: empty(p.asText(e)), Family: empty(p.familyText(e)),
			GuardKiB: directory.Weight(e.Guard) >> 20, InnerKiB: directory.Weight(e.Inner) >> 20, MailboxKiB: directory.Weight(e.Mailbox) >> 20,
		}
		for _, a := range e.Addrs {
			r.Addresses = append(r.Addresses, a.String())
		}
		if e.Software > 0 && int(e.Software) <= len(p.snap.Tables.Software) {
			r.Software = p.snap.Tables.Software[e.Software-1]
		}
		lines = append(lines, r)
	}
	for _, g := range p.largest() {
		lines = append(lines, groupJSON{1, "group", g.kind, g.Name, g.Relays, g.Guard, g.Inner, g.Mailbox})
	}
	lines = append(lines, healthJSON{1, "health", texts(p.survey.Missing)})
	for _, e := range p.evidence {
		lines = append(lines, evidenceJSON{1, "evidence", e.Text(), labelList(e.Culprits()), e.Severe(), e.Severe() && p.chain.Answered(e)})
	}
	for _, s := range p.successors {
		lines = append(lines, successorJSON{1, "successor", s.Link().String(), program.JSONTime(s.Made), labelList(s.By)})
	}
	for _, l := range lines {
		if err := program.PrintJSON(w, l); err != nil {
			return err
		}
	}
	return nil
}

func labelList(keys []directory.FounderKey) []string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = k.Label
	}
	return list
}

// texts is a list that JSON writes as [] when it is empty.
func texts(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// empty turns what tables show for nothing into nothing.
func empty(text string) string {
	if text == "-" {
		return ""
	}
	return text
}
