package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"hearsay/cmd/program"
	"hearsay/directory"
)

type fileJSON struct {
	V          int              `json:"v"`
	Type       string           `json:"type"`
	Network    string           `json:"network"`
	Link       string           `json:"link,omitempty"`
	Name       string           `json:"name"`
	Version    uint64           `json:"version"`
	Created    string           `json:"created"`
	Expires    string           `json:"expires"`
	Roots      []keyJSON        `json:"roots"`
	RootsNeed  int              `json:"roots_needed"`
	Signers    []keyJSON        `json:"signers"`
	SignNeed   int              `json:"signers_needed"`
	Bootstraps []string         `json:"bootstraps"`
	Join       string           `json:"join"`
	Params     map[string]int64 `json:"params"`
	Lab        bool             `json:"lab"`
	Inviters   []inviterJSON    `json:"inviters,omitempty"`
	Seeds      []string         `json:"seeds,omitempty"`
	Relays     []string         `json:"relays,omitempty"`
}

type keyJSON struct {
	Label string `json:"label"`
	Key   string `json:"key"`
}

type inviterJSON struct {
	Label   string `json:"label"`
	Key     string `json:"key"`
	Expires string `json:"expires"`
}

type draftJSON struct {
	fileJSON
	File     string       `json:"file"`
	Words    []string     `json:"words"`
	Hash     string       `json:"sha256"`
	Signed   []string     `json:"signed"`
	Unsigned []string     `json:"unsigned"`
	Lacking  int          `json:"lacking"`
	Changes  []changeJSON `json:"changes"`
}

type changeJSON struct {
	Field string `json:"field"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

func describeFile(kind string, id directory.NetworkID, f *directory.NetworkFile) fileJSON {
	j := fileJSON{
		V: 1, Type: kind, Network: id.String(), Name: f.Name, Version: f.Version, Created: program.JSONTime(f.Created), Expires: program.JSONTime(f.Expires),
		Roots: keysJSON(f.Roots), RootsNeed: directory.RootThreshold(len(f.Roots)),
		Signers: keysJSON(f.Signers), SignNeed: directory.SignThreshold(len(f.Signers)),
		Join: f.Join.String(), Params: map[string]int64{}, Lab: f.Lab,
	}
	for _, b := range f.Bootstraps {
		j.Bootstraps = append(j.Bootstraps, b.Addr.String())
	}
	for _, i := range f.Inviters {
		j.Inviters = append(j.Inviters, inviterJSON{i.Label, directory.RelayID(i.Public).String(), program.JSONTime(i.Expires)})
	}
	for _, id := range f.Seeds {
		j.Seeds = append(j.Seeds, id.String())
	}
	for _, id := range f.Relays {
		j.Relays = append(j.Relays, id.String())
	}
	for p, v := range f.Params {
		j.Params[p.String()] = v
	}
	return j
}

func keysJSON(list []directory.FounderKey) []keyJSON {
	out := make([]keyJSON, len(list))
	for i, k := range list {
		out[i] = keyJSON{k.Label, k.ID().String()}
	}
	return out
}

func describeDraft(d *directory.Draft, file string) draftJSON {
	hash := d.Hash()
	j := draftJSON{
		fileJSON: describeFile("draft", d.Network(), d.File()), File: file, Words: d.Words(), Hash: fmt.Sprintf("%x", hash),
		Signed: []string{}, Unsigned: []string{}, Changes: []changeJSON{},
	}
	if d.Previous() == nil {
		j.RootsNeed = len(d.File().Roots)
	}
	for _, r := range d.Roots() {
		if r.Signed {
			j.Signed = append(j.Signed, r.Label)
		} else {
			j.Unsigned = append(j.Unsigned, r.Label)
		}
	}
	old, drafted := d.Lacking()
	j.Lacking = max(old, drafted)
	for _, c := range changesOf(d) {
		j.Changes = append(j.Changes, changeJSON(c))
	}
	return j
}

func changesOf(d *directory.Draft) []directory.Change {
	if d.Previous() == nil {
		return nil
	}
	return directory.Changes(d.Previous().Current(), d.File())
}

// printDraft shows a draft to a founder who is to judge it; own is the card of
// the home, nil if there is none.
func printDraft(w io.Writer, d *directory.Draft, own *directory.Card) {
	if d.Previous() == nil {
		fmt.Fprintf(w, "Draft of a new network\n\n")
	} else {
		fmt.Fprintf(w, "Draft of a change: version %d follows %d\n\n", d.File().Version, d.File().Version-1)
	}
	rule := changeRule(d.File())
	if d.Previous() == nil {
		rule = fmt.Sprintf("all %d must sign this version; later %s", len(d.File().Roots), rule)
	}
	printFile(w, d.Network(), d.File(), own, rule)
	if changes := changesOf(d); len(changes) > 0 {
		fmt.Fprintf(w, "\nWhat it changes:\n\n")
		for _, c := range changes {
			fmt.Fprintf(w, "  %s\n", changeText(c))
		}
	}
	fmt.Fprintf(w, "\nThe ten words of this draft:\n\n")
	printWords(w, d.Words(), 5)
}

func changeRule(f *directory.NetworkFile) string {
	return fmt.Sprintf("%d of %d must sign a change", directory.RootThreshold(len(f.Roots)), len(f.Roots))
}

func changeText(c directory.Change) string {
	switch {
	case c.Old == "":
		return "+ " + c.Field + ": " + c.New
	case c.New == "":
		return "- " + c.Field + ": " + c.Old
	}
	return "~ " + c.Field + ": " + c.Old + " -> " + c.New
}

// printFile shows a version; rule says how many of the founders must sign.
func printFile(w io.Writer, id directory.NetworkID, f *directory.NetworkFile, own *directory.Card, rule string) {
	line := func(field, format string, args ...any) {
		fmt.Fprintf(w, "  %-11s %s\n", field, fmt.Sprintf(format, args...))
	}
	if f.Lab {
		line("", "LAB NETWORK: no anonymity")
	}
	line("network", "%q, version %d", f.Name, f.Version)
	line("id", "%s", id)
	line("made", "%s UTC, expires %s", f.Created.UTC().Format("2006-01-02 15:04"), f.Expires.UTC().Format(time.DateOnly))
	line("joining", "%s", joinText(f))
	line("founders", "%s", rule)
	for _, k := range f.Roots {
		line("", "%s%s", k, mine(own != nil && own.Root == k.Public))
	}
	line("signers", "%d of %d must sign a snapshot", directory.SignThreshold(len(f.Signers)), len(f.Signers))
	for _, k := range f.Signers {
		line("", "%s%s", k, mine(own != nil && own.Signer == k.Public))
	}
	line("bootstraps", "%d", len(f.Bootstraps))
	for _, b := range f.Bootstraps {
		line("", "%s%s", b.Addr, mine(own != nil && own.Bootstrap != nil && *own.Bootstrap == b))
	}
	if len(f.Params) == 0 {
		line("parameters", "the defaults")
	}
	for _, p := range slices.Sorted(maps.Keys(f.Params)) {
		line("parameter", "%s = %d", p, f.Params[p])
	}
	if f.ASTable != [32]byte{} {
		line("AS table", "%x", f.ASTable)
	}
	for _, i := range f.Inviters {
		line("inviter", "%s", i)
	}
	for _, id := range f.Seeds {
		line("seed", "%s", id)
	}
	for _, id := range f.Relays {
		line("relay", "%s", id)
	}
	if f.MinProtocol > 1 {
		line("protocol", "%d at least", f.MinProtocol)
	}
}

func joinText(f *directory.NetworkFile) string {
	if f.Join == directory.JoinClosed {
		return fmt.Sprintf("closed: %d relays are named here", len(f.Relays))
	}
	return "by " + strings.ReplaceAll(f.Join.String(), "+", " or ")
}

func mine(yes bool) string {
	if yes {
		return "  (you)"
	}
	return ""
}
