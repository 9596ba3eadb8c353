package sybil

import (
	"fmt"
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
// model of an honest network that is three years old; Judge weighs them; the
// figures are the shares of circuits whose guard, whose mailbox relay, or both
// are hostile. HEARSAY_SYBIL=20 makes 20 networks of each and prints the table.

const (
	honestRelays = 1000
	networkDays  = 1200
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
		list = append(list, b)
	}
	return list
}

// model is one simulated network.
type model struct {
	*world
	rnd    *rand.Rand
	parts  directory.LedgerParts
	bad    map[directory.RelayID]bool
	rate   map[directory.RelayID]float64 // true bandwidth, B/s
	family int
	blocks int
	routes strings.Builder
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
// are vouched for.
func newModel(t testing.TB, seed uint64, b budget) *model {
	m := &model{
		world: &world{t: t, at: testTime.Add(networkDays * day), votes: 1}, rnd: rand.New(rand.NewPCG(seed, 7)),
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
	for n := 0; n < honestRelays; {
		size := min(int(1/math.Sqrt(1-m.rnd.Float64())), 40, honestRelays-n) // P(≥ s) = s^-2
		x, as := m.rnd.Float64()*sum, 0
		for ; as < ases-1 && x > zipf[as]; as++ {
			x -= zipf[as]
		}
		vouched := m.rnd.Float64() < 0.7
		declares := m.rnd.Float64() < 0.85
		age := min(m.rnd.ExpFloat64()*320, networkDays-1)
		rate := m.lognormal(3<<20, 0.8)
		m.family++
		for i := range size {
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
				h.WFUUp = uint32(float64(h.WFUKnown) * (1 - 0.04*m.rnd.Float64()))
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
	honest := 0.0
	for _, a := range m.relays { // not over the map: floats add up in order
		honest += m.rate[a.d.ID]
	}
	each := honest * float64(b.share) / float64(1000-b.share) / float64(b.ids)
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

// judgeBy judges the network with an un-vouched cap of so many thousandths;
// clusters tells whether those by configuration are capped.
func (m *model) judgeBy(unvouched int64, clusters bool) {
	p := map[directory.Param]int64{directory.ParamPoWBits: 0, directory.ParamUnvouchedCap: unvouched}
	if clusters {
		p[directory.ParamConfigCluster] = 1
	}
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

// seat is a relay on a wheel.
type seat struct {
	weight float64
	bad    bool
	block  string
	kin    [32]byte
	as     uint32
}

// figures are shares in per cent.
type figures struct{ guard, last, both, product float64 }

func (f *figures) add(g figures) {
	f.guard, f.last, f.both, f.product = f.guard+g.guard, f.last+g.last, f.both+g.both, f.product+g.product
}

func (f figures) by(n int) figures {
	x := float64(n)
	return figures{f.guard / x, f.last / x, f.both / x, f.product / x}
}

func (f figures) String() string {
	return fmt.Sprintf("%.2f/%.2f/%.2f (%.2f)", f.guard, f.last, f.both, f.product)
}

// circuits computes the shares exactly: a guard by its weight, then a mailbox
// relay by its weight among those that share neither /16 nor kin nor AS.
func circuits(guards, last []seat, distinctAS bool) figures {
	var f figures
	sum, bad := 0.0, 0.0
	for _, s := range guards {
		sum += s.weight
		if s.bad {
			bad += s.weight
		}
	}
	if sum == 0 {
		return f
	}
	f.guard = 100 * bad / sum
	total, badLast := 0.0, 0.0
	for _, s := range last {
		total += s.weight
		if s.bad {
			badLast += s.weight
		}
	}
	f.product = f.guard * badLast / total
	blocks, kin, ases := make(map[string][]int), make(map[[32]byte][]int), make(map[uint32][]int)
	for i, s := range last {
		blocks[s.block] = append(blocks[s.block], i)
		kin[s.kin] = append(kin[s.kin], i)
		ases[s.as] = append(ases[s.as], i)
	}
	for _, g := range guards {
		t, b := total, badLast
		leave := func(list []int, counted func(s *seat) bool) {
			for _, i := range list {
				if s := &last[i]; !counted(s) {
					t -= s.weight
					if s.bad {
						b -= s.weight
					}
				}
			}
		}
		sameBlock := func(s *seat) bool { return s.block == g.block }
		sameKin := func(s *seat) bool { return sameBlock(s) || g.kin != [32]byte{} && s.kin == g.kin }
		leave(blocks[g.block], func(*seat) bool { return false })
		if g.kin != [32]byte{} {
			leave(kin[g.kin], sameBlock)
		}
		if distinctAS {
			leave(ases[g.as], sameKin)
		}
		if t <= 0 {
			continue
		}
		p := 100 * g.weight / sum * max(b, 0) / t
		f.last += p
		if g.bad {
			f.both += p
		}
	}
	return f
}

// shares returns the figures of the last judgement.
func (m *model) shares() figures {
	seats := func(of wheel) []seat {
		var list []seat
		for _, r := range m.out.d.listed {
			if w := r.weights[of]; w > 0 {
				list = append(list, seat{float64(w), m.bad[r.d.ID], r.nets[levelBlock][0].String(), r.kin, r.ases[0]})
			}
		}
		return list
	}
	return circuits(seats(wheelGuard), seats(wheelMailbox), true)
}

// torLike weighs by bandwidth alone: guards are eight days old and fast, paths
// differ in /16 and family.
func (m *model) torLike() figures {
	var guards, last []seat
	for i, a := range m.relays {
		s := seat{weight: m.rate[a.d.ID], bad: m.bad[a.d.ID], block: netOf(a.d.Addrs[0].Addr(), levelBlock).String()}
		if len(a.d.Families) > 0 {
			s.kin = a.d.Families[0].Key
		}
		last = append(last, s)
		if m.parts.Relays[i].Listed >= 8*daySeconds && s.weight >= 2<<20 {
			guards = append(guards, s)
		}
	}
	return circuits(guards, last, false)
}

// honest returns the part of honest relays that are listed, and the part of
// their weight on the inner wheel that caps take.
func (m *model) honest() (listed, lost float64) {
	n := 0
	var base, left float64
	for _, r := range m.out.d.listed {
		if !m.bad[r.d.ID] {
			n++
			base += float64(r.base)
			left += float64(r.weights[wheelInner])
		}
	}
	return 100 * float64(n) / honestRelays, 100 * (1 - left/base)
}

// row is what the simulation finds of one attacker.
type row struct {
	tor, rules, quarter, tenth figures
	listed, lost               float64
}

func simulate(t testing.TB, b budget, networks int, all bool) row {
	var r row
	for i := range networks {
		m := newModel(t, uint64(100+i), b)
		r.tor.add(m.torLike())
		clusters := b.stealth == 0
		m.judgeBy(1000, clusters)
		r.rules.add(m.shares())
		listed, lost := m.honest()
		r.listed, r.lost = r.listed+listed/float64(networks), r.lost+lost/float64(networks)
		m.judgeBy(250, clusters)
		r.quarter.add(m.shares())
		if all {
			m.judgeBy(100, clusters)
			r.tenth.add(m.shares())
		}
	}
	r.tor, r.rules, r.quarter, r.tenth = r.tor.by(networks), r.rules.by(networks), r.quarter.by(networks), r.tenth.by(networks)
	return r
}

// gate holds what a rule change must not worsen.
func gate(t *testing.T, name string, r row) {
	t.Helper()
	bound := func(what string, got, most float64) {
		if got > most {
			t.Errorf("%s: %s is %.3f %%, at most %.3f", name, what, got, most)
		}
	}
	switch name {
	case "A1", "A4":
		bound("hostile guards", r.rules.guard, 0)
	case "A3":
		bound("both hostile", r.rules.both, 0.5)
	case "A5":
		bound("both hostile with the un-vouched cap", r.quarter.both, 2.5)
	}
	bound("honest relays not listed", 100-r.listed, 1)
}

// TestAttackersOfTheSimulation are the gates: in a normal run two networks of
// each attacker that has one.
func TestAttackersOfTheSimulation(t *testing.T) {
	networks, err := strconv.Atoi(os.Getenv("HEARSAY_SYBIL"))
	full := err == nil
	if !full {
		networks = 2
	} else {
		t.Log("per cent of circuits with a hostile guard / mailbox relay / both (both if drawn independently)")
	}
	for _, b := range readBudgets(t) {
		if !full && !slices.Contains([]string{"A1", "A3", "A4", "A5"}, b.name) {
			continue
		}
		r := simulate(t, b, networks, full)
		gate(t, b.name, r)
		if full {
			t.Logf("%s: bandwidth alone %v | rules %v | un-vouched 25 %% %v | 10 %% %v", b.name, r.tor, r.rules, r.quarter, r.tenth)
			t.Logf("    honest listed %.1f %%, weight that caps take from them %.0f %%; users that met a hostile guard after 1, 6, 12 months: %s; cost: %d relay-months, %d core-hours of work",
				r.listed, r.lost, meetings(r.quarter.guard), b.ids*b.days/30, b.ids*45/600)
		}
	}
	if full {
		t.Log("An attacker like A5 in an open network without vouches is not stopped: compare bandwidth alone with rules.")
	}
}

// meetings tells how many users had a hostile guard, if a guard serves for four
// months.
func meetings(guard float64) string {
	var list []string
	for _, months := range []int{1, 6, 12} {
		n := float64(1 + months/4)
		list = append(list, fmt.Sprintf("%.1f", 100*(1-math.Pow(1-guard/100, n))))
	}
	return strings.Join(list, " / ") + " %"
}
