package directory

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Change is one difference between two versions of a network file, in words for
// people. What was added has no Old, what was removed no New.
type Change struct {
	Field    string
	Old, New string
}

// Changes returns what the newer version changes, in the order of the file.
// Number, date and predecessor of a version are no changes.
func Changes(old, next *NetworkFile) []Change {
	var list []Change
	value := func(field, a, b string) {
		if a != b {
			list = append(list, Change{Field: field, Old: a, New: b})
		}
	}
	sets := func(field string, a, b []string) {
		for _, s := range a {
			if !slices.Contains(b, s) {
				list = append(list, Change{Field: field, Old: s})
			}
		}
		for _, s := range b {
			if !slices.Contains(a, s) {
				list = append(list, Change{Field: field, New: s})
			}
		}
	}
	value("name", old.Name, next.Name)
	value("expires", old.Expires.UTC().Format(time.DateTime), next.Expires.UTC().Format(time.DateTime))
	sets("root", keyTexts(old.Roots), keyTexts(next.Roots))
	value("signatures for a change", threshold(RootThreshold, old.Roots), threshold(RootThreshold, next.Roots))
	sets("signer", keyTexts(old.Signers), keyTexts(next.Signers))
	value("signatures for a snapshot", threshold(SignThreshold, old.Signers), threshold(SignThreshold, next.Signers))
	sets("bootstrap", bootstrapTexts(old.Bootstraps), bootstrapTexts(next.Bootstraps))
	value("join", old.Join.String(), next.Join.String())
	for p := ParamEpoch; int(p) < len(paramRules); p++ {
		value("param "+p.String(), paramText(old, p), paramText(next, p))
	}
	value("AS table", hashText(old.ASTable), hashText(next.ASTable))
	sets("relay", idTexts(old.Relays), idTexts(next.Relays))
	sets("seed", idTexts(old.Seeds), idTexts(next.Seeds))
	sets("inviter", inviterTexts(old.Inviters), inviterTexts(next.Inviters))
	value("lowest protocol", strconv.Itoa(int(old.MinProtocol)), strconv.Itoa(int(next.MinProtocol)))
	if next.EpochFloorReset != 0 {
		list = append(list, Change{Field: "epoch floor", New: strconv.FormatUint(next.EpochFloorReset, 10)})
	}
	return list
}

func threshold(rule func(int) int, keys []FounderKey) string {
	return fmt.Sprintf("%d of %d", rule(len(keys)), len(keys))
}

func keyTexts(list []FounderKey) []string {
	out := make([]string, len(list))
	for i, k := range list {
		out[i] = k.String()
	}
	return out
}

// String returns the label and the id of the key.
func (k FounderKey) String() string {
	if k.Label == "" {
		return k.ID().String()
	}
	return k.Label + " " + k.ID().String()
}

func bootstrapTexts(list []Bootstrap) []string {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = b.String()
	}
	return out
}

// String returns the address and the start of the identity in hexadecimal.
func (b Bootstrap) String() string { return b.Addr.String() + " " + hex.EncodeToString(b.ID[:]) }

func idTexts(list []RelayID) []string {
	out := make([]string, len(list))
	for i, id := range list {
		out[i] = id.String()
	}
	return out
}

func hashText(h [32]byte) string {
	if h == [32]byte{} {
		return ""
	}
	return hex.EncodeToString(h[:])
}

func paramText(f *NetworkFile, p Param) string {
	v, ok := f.Params[p]
	if !ok {
		return "default"
	}
	return strconv.FormatInt(v, 10)
}
