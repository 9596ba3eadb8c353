package sybil

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hearsay/directory"
)

// The simulation (SPEC.md §13): attackers, whose budgets are files, join a
// model of an honest network that is three years old, and Judge weighs them.

const (
	networkDays = 1200 // the age of the network
	relaysInAS  = 10   // of one operator, who has more of them in another
)

// budget is what an attacker has.
type budget struct {
	name                                     string
	ids, v4_24, v4_16, as, days, spread, lie int
	share, vouches, stealth                  int
	coreHours                                int
}

func readBudgets(t testing.TB) []budget {
	files, err := filepath.Glob("testdata/attackers/*.txt")
	check(t, err)
	var list []budget
	for _, f := range files {
		raw, err := os.ReadFile(f)
		check(t, err)
		b := budget{name: strings.TrimSuffix(filepath.Base(f), ".txt"), lie: 1}
		fields := map[string]*int{
			"ids": &b.ids, "v4_24": &b.v4_24, "v4_16": &b.v4_16, "as": &b.as, "days": &b.days, "spread_days": &b.spread,
			"bw_share": &b.share, "vouches": &b.vouches, "stealth": &b.stealth, "core_hours": &b.coreHours, "lie": &b.lie,
		}
		for line := range strings.Lines(string(raw)) {
			part := strings.Fields(line)
			if len(part) != 2 || part[0] == "#" {
				continue
			}
			if fields[part[0]] == nil {
				t.Fatalf("%s: %q is no budget", f, part[0])
			}
			*fields[part[0]], err = strconv.Atoi(part[1])
			check(t, err)
		}
		if b.work() > float64(b.coreHours) {
			t.Fatalf("%s: %d core-hours do not pay for the work of %d relays", f, b.coreHours, b.ids-b.vouches)
		}
		list = append(list, b)
	}
	return list
}

// work returns the core-hours of the proofs of work that admit those relays for
// which nobody vouches: 4.5 minutes each, once, before the first listing.
func (b budget) work() float64 { return float64(b.ids-b.vouches) * 4.5 / 60 }

// scaled returns what the attacker has against a network of another size: its
// relays and prefixes are relative to the honest ones.
func (b budget) scaled(honest int) budget {
	part := func(n int) int { return max(1, n*honest/1000) }
	b.ids, b.v4_24, b.v4_16 = part(b.ids), part(b.v4_24), part(b.v4_16)
	b.as, b.vouches = min(b.as, b.ids), b.vouches*honest/1000
	return b
}

// model is one simulated network.
type model struct {
	*world
	honest  int
	rnd     *rand.Rand
	parts   directory.LedgerParts
	bad     map[directory.RelayID]bool
	rate    map[directory.RelayID]float64 // true bandwidth, B/s
	family  int
	blocks  int
	routes  strings.Builder
	hostile float64 // bandwidth of all hostile relays, B/s
}

// block returns the first two bytes of a /16 that nobody else has and announces
// it by an AS.
func (m *model) block(as int) [2]byte {
	m.blocks++
	b := [2]byte{byte(1 + m.blocks/250), byte(m.blocks % 250)}
	fmt.Fprintf(&m.routes, "%d.%d.0.0/16 %d\n", b[0], b[1], as)
	return b
}

// lognormal draws around a median.
func (m *model) lognormal(median, sigma float64) float64 {
	return median * math.Exp(sigma*m.rnd.NormFloat64())
}

// newModel builds honest relays: operators of power-law size in ASes of Zipf
// size, log-normal bandwidth, mean age 320 days, 85 % declare their family, 70 %
// are vouched for. Operators of many relays have ten in each AS. A tenth is up for 80–95 % of the time, a fifth for 95–98 %, the
// others for more.
func newModel(t testing.TB, seed uint64, honest int, b budget) *model {
	m := &model{
		honest: honest,
		world:  &world{t: t, at: testTime.Add(networkDays * day), votes: 1}, rnd: rand.New(rand.NewPCG(seed, 7)),
		bad: make(map[directory.RelayID]bool), rate: make(map[directory.RelayID]float64),
	}
	const ases = 300
	var zipf [ases]float64
	sum := 0.0
	for i := range zipf {
		zipf[i] = math.Pow(float64(i+1), -1.05)
		sum += zipf[i]
	}
	var blocks [ases][][2]byte
	for i := range blocks {
		for range 1 + int(150*zipf[i]/sum) {
			blocks[i] = append(blocks[i], m.block(1+i))
		}
	}
	for n := 0; n < honest; {
		size := min(int(1/math.Sqrt(1-m.rnd.Float64())), 40, honest-n) // P(≥ s) = s^-2
		vouched := m.rnd.Float64() < 0.7
		declares := m.rnd.Float64() < 0.85
		age := min(m.rnd.ExpFloat64()*320, networkDays-1)
		rate := m.lognormal(3<<20, 0.8)
		m.family++
		as := 0
		for i := range size {
			if i%relaysInAS == 0 {
				as = m.drawAS(zipf[:], sum)
			}
			block := blocks[as][m.rnd.IntN(len(blocks[as]))]
			a := m.add(fmt.Sprint("honest", n), addr4(block[0], block[1], byte(m.rnd.IntN(256)), byte(m.rnd.IntN(256))).Addr().String())
			m.rate[a.d.ID] = rate * m.lognormal(1, 0.5)
			a.d.Nick = fmt.Sprintf("%c%c%c%d", 'a'+m.rnd.IntN(26), 'a'+m.rnd.IntN(26), 'a'+m.rnd.IntN(26), i)
			a.d.Contact = fmt.Sprint("operator ", m.family)
			a.d.Declared = uint64(m.rate[a.d.ID]*1.2) >> 10 / 512 * 512
			if declares {
				m.declare(a, m.family)
			}
			m.remember(a, age*(0.7+0.3*m.rnd.Float64()), vouched, func(h *directory.History) {
				for range m.rnd.IntN(5) {
					ups(h, m.rnd.IntN(720))
				}
				up, x := 0.98+0.02*m.rnd.Float64(), m.rnd.Float64()
				switch {
				case x < 0.1:
					up = 0.80 + 0.15*m.rnd.Float64()
				case x < 0.3:
					up = 0.95 + 0.03*m.rnd.Float64()
				}
				h.WFUUp = uint32(float64(h.WFUKnown) * up)
			})
			n++
		}
	}
	m.attack(b)
	table, err := ParseASTable([]byte(m.routes.String()))
	check(t, err)
	m.as = table
	return m
}

// drawAS draws an AS by its share of the sum.
func (m *model) drawAS(shares []float64, sum float64) int {
	x, as := m.rnd.Float64()*sum, 0
	for ; as < len(shares)-1 && x > shares[as]; as++ {
		x -= shares[as]
	}
	return as
}

func (m *model) declare(a *actor, family int) {
	a.d.Families = []directory.Family{{Key: [32]byte{1, byte(family), byte(family >> 8)}, Expires: m.at.Add(1e4 * time.Hour)}}
}

// remember gives the ledger a relay of an age in days.
func (m *model) remember(a *actor, days float64, vouched bool, edit func(*directory.History)) {
	age := uint32(days * daySeconds)
	run := min(age, uint32(m.lognormal(20*daySeconds, 0.8)))
	h := directory.History{
		State: directory.StateListed, FirstListed: uint32(m.at.Unix()) - age - 3600, LastListed: uint32(m.at.Unix()) - 3600,
		Listed: age, WFUKnown: min(age, 800_000), Run: run + 1, MTBFSum: 3 * run, MTBFCount: 3,
	}
	if age < 4*run {
		h.MTBFSum, h.MTBFCount = 0, 0
	}
	h.WFUUp = h.WFUKnown
	if vouched {
		h.State |= directory.StateVouched
	}
	if edit != nil {
		edit(&h)
	}
	m.parts.Relays = append(m.parts.Relays, h)
}

// attack adds the attacker's relays. They are as steady as relays can be.
func (m *model) attack(b budget) {
	total := 0.0
	for _, a := range m.relays { // not over the map: floats add up in order
		total += m.rate[a.d.ID]
	}
	m.hostile = total * float64(b.share) / float64(1000-b.share)
	each := total * float64(b.share) / float64(1000-b.share) / float64(b.ids)
	var blocks [][2]byte
	for i := range b.v4_16 {
		blocks = append(blocks, m.block(1000+i%b.as))
	}
	for i := range b.ids {
		net := i % b.v4_24
		block := blocks[net%len(blocks)]
		a := m.add(fmt.Sprint("hostile", i), addr4(block[0], block[1], byte(net/len(blocks)), byte(1+i/b.v4_24)).Addr().String())
		m.bad[a.d.ID] = true
		m.rate[a.d.ID] = each
		a.d.Declared = uint64(each*1.2) >> 10 * uint64(b.lie)
		a.d.Nick = fmt.Sprintf("%c%c%c%d", 'a'+m.rnd.IntN(26), 'a'+m.rnd.IntN(26), 'a'+m.rnd.IntN(26), i)
		if b.stealth == 0 {
			a.d.Nick, a.d.Contact, a.d.Declared = fmt.Sprint("node", i), "ops", 9999
		}
		age := max(0.1, float64(b.days)-m.rnd.Float64()*float64(b.spread))
		m.remember(a, age, i < b.vouches, func(h *directory.History) {
			if b.stealth == 0 && age > 30 {
				ups(h, 50, 170, 333, 480, 610)
			}
		})
	}
}

// judgeBy judges the network by parameters of the network file.
func (m *model) judgeBy(p map[directory.Param]int64) {
	p = maps.Clone(p)
	p[directory.ParamPoWBits] = 0
	c := newWorld(m.t, worldConfig{join: directory.JoinOpen | directory.JoinToken | directory.JoinVouch, params: p, as: m.routes.String()})
	m.chain, m.id, m.signer = c.chain, c.id, c.signer
	parts := m.parts
	parts.Relays = slices.Clone(parts.Relays)
	for i, a := range m.relays {
		parts.Relays[i].Key = directory.GossipKey(m.id, a.d.ID)
		a.speed = codeOf(uint64(m.rate[a.d.ID] * 1024))
	}
	m.ledger = directory.NewLedger(m.at.Add(-time.Hour), parts)
	m.in = m.input()
	m.out = Judge(m.in)
}
