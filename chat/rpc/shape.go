package rpc

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"hearsay/chat"
	"hearsay/circuit"
	"hearsay/directory"
)

// timeLayout is RFC 3339 in UTC with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

// stamp is a time as the interface writes it.
type stamp time.Time

// MarshalJSON writes RFC 3339 in UTC with milliseconds.
func (s stamp) MarshalJSON() ([]byte, error) {
	return []byte(`"` + time.Time(s).UTC().Format(timeLayout) + `"`), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *stamp) UnmarshalJSON(b []byte) error {
	t, err := time.Parse(`"`+timeLayout+`"`, string(b))
	*s = stamp(t)
	return err
}

func stampOf(t *time.Time) *stamp {
	if t == nil {
		return nil
	}
	s := stamp(*t)
	return &s
}

func (s *stamp) time() *time.Time {
	if s == nil {
		return nil
	}
	t := time.Time(*s)
	return &t
}

type readyShape struct {
	V       int     `json:"v"`
	Network *string `json:"network"`
	Lab     *bool   `json:"lab"`
}

type statusShape struct {
	V         int            `json:"v"`
	Network   *string        `json:"network"`
	Ready     bool           `json:"ready"`
	Relays    int            `json:"relays"`
	Circuits  []circuitShape `json:"circuits"`
	ClockSkew float64        `json:"clock_skew_s"`
	Health    chat.Health    `json:"health"`
	Lab       *bool          `json:"lab"`
	Cover     string         `json:"cover"`
	Encrypted bool           `json:"encrypted"`
	Locked    bool           `json:"locked"`
	Snapshot  *snapshotShape `json:"snapshot"`
	Queued    int            `json:"queued"`
	Due       int            `json:"subscriptions_due"`
	Standing  int            `json:"subscriptions_standing"`
	Why       string         `json:"why"`
	Warnings  []string       `json:"warnings"`
	Directory []warningShape `json:"network_warnings"`
	Operator  operatorShape  `json:"largest_operator"`
	Consent   bool           `json:"needs_consent"`
	Steps     []stepShape    `json:"steps"`
}

type warningShape struct {
	Kind  string `json:"kind"`
	Text  string `json:"text"`
	Since stamp  `json:"since"`
}

type operatorShape struct {
	Name   string  `json:"name"`
	Relays int     `json:"relays"`
	Both   float64 `json:"both_ends"`
}

type snapshotShape struct {
	Epoch uint64 `json:"epoch"`
	Age   int64  `json:"age_s"`
}

type stepShape struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Took   int64  `json:"took_ms"`
	Detail string `json:"detail"`
}

type circuitShape struct {
	ID          string          `json:"id"`
	Purpose     circuit.Purpose `json:"purpose"`
	Path        []string        `json:"path"`
	Destination *string         `json:"destination"`
	State       string          `json:"state"`
	RTT         *int64          `json:"rtt_ms"`
}

// pathShape is the circuit that last served a conversation; all but open is
// empty if none did.
type pathShape struct {
	Relays  []string `json:"relays"`
	Mailbox *string  `json:"mailbox"`
	RTT     *int64   `json:"rtt_ms"`
	Open    bool     `json:"open"`
}

type contactShape struct {
	ID           string             `json:"id"`
	Name         string             `json:"name"`
	State        chat.ContactState  `json:"state"`
	Verified     bool               `json:"verified"`
	SafetyNumber string             `json:"safety_number"`
	Problem      string             `json:"problem,omitempty"`
	Introduced   string             `json:"introduced,omitempty"`
	Asked        string             `json:"asked,omitempty"`
	Settings     *conversationShape `json:"settings,omitempty"`
	Unread       int                `json:"unread,omitempty"`
	Latest       *stamp             `json:"latest,omitempty"`
}

type conversationShape struct {
	DisappearAfter int64  `json:"disappear_after"` // seconds; 0: never
	Muted          bool   `json:"muted"`
	Archived       bool   `json:"archived"`
	Pinned         bool   `json:"pinned"`
	Draft          string `json:"draft,omitempty"`
	Displayed      uint64 `json:"displayed,omitempty"`
}

type groupShape struct {
	ID       string             `json:"id"`
	Name     string             `json:"name"`
	Members  []string           `json:"members"`
	Pending  int                `json:"pending,omitempty"`
	State    string             `json:"state"`
	Admin    bool               `json:"admin,omitempty"`
	Warning  string             `json:"warning,omitempty"`
	Settings *conversationShape `json:"settings,omitempty"`
	Unread   int                `json:"unread,omitempty"`
	Latest   *stamp             `json:"latest,omitempty"`

	Administrator string `json:"administrator,omitempty"`
}

type messageShape struct {
	ID        string            `json:"id"`
	Contact   string            `json:"contact"`
	Direction string            `json:"direction"`
	Text      string            `json:"text"`
	Seq       uint64            `json:"seq"`
	Time      stamp             `json:"time"`
	State     chat.MessageState `json:"state"`
	Late      bool              `json:"late"`
	Copies    *chat.Copies      `json:"copies,omitempty"`
	Kind      string            `json:"kind,omitempty"`
	Reply     string            `json:"reply,omitempty"`
	Edited    bool              `json:"edited,omitempty"`
	Deleted   string            `json:"deleted,omitempty"`
	Reactions []chat.Reaction   `json:"reactions,omitempty"`
	Expires   *stamp            `json:"expires,omitempty"`
	File      *fileShape        `json:"file,omitempty"`
	Author    string            `json:"author,omitempty"`
	Delivered *chat.Copies      `json:"delivered,omitempty"`
}

// pageShape is a list of messages that fits into a line.
type pageShape struct {
	Messages []json.RawMessage `json:"messages"`
	More     bool              `json:"more,omitempty"` // there are more, within the limit asked for
}

// maxPage is how many bytes of messages one line takes; the rest is for what
// stands around them.
const maxPage = maxLine - 4096

func shapePage(messages []chat.Message, err error) (any, error) {
	page := pageShape{Messages: []json.RawMessage{}}
	if err != nil {
		return page, err
	}
	sum := 0
	for _, m := range messages {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(shapeMessage(m)); err != nil {
			return page, err
		}
		if sum += b.Len() + 1; sum > maxPage {
			page.More = true
			break
		}
		page.Messages = append(page.Messages, b.Bytes())
	}
	return page, nil
}

// shapePageBefore is shapePage for a page that is read backwards: what does not
// fit into the line is the beginning.
func shapePageBefore(messages []chat.Message, err error) (any, error) {
	slices.Reverse(messages)
	v, err := shapePage(messages, err)
	if page, ok := v.(pageShape); ok {
		slices.Reverse(page.Messages)
	}
	return v, err
}

type whyShape struct {
	History []entryShape   `json:"history"`
	NextTry *stamp         `json:"next_try,omitempty"`
	Expires *stamp         `json:"expires,omitempty"`
	Next    string         `json:"next,omitempty"`
	Earlier []earlierShape `json:"earlier,omitempty"`
}

type entryShape struct {
	Time   stamp             `json:"time"`
	State  chat.MessageState `json:"state"`
	Detail string            `json:"detail"`
}

type earlierShape struct {
	Time stamp  `json:"time"`
	Text string `json:"text"`
}

type fileShape struct {
	ID        string         `json:"id"`
	Contact   string         `json:"contact"`
	Direction string         `json:"direction"`
	Name      string         `json:"name"`
	Size      int64          `json:"size"`
	Padded    int64          `json:"padded,omitempty"`
	Done      int64          `json:"done"`
	State     chat.FileState `json:"state"`
	Time      stamp          `json:"time"`
	Burst     bool           `json:"burst,omitempty"`
	Detail    string         `json:"detail,omitempty"`
	Path      string         `json:"path,omitempty"`
	Paused    bool           `json:"paused,omitempty"`
}

type inviteShape struct {
	ID      string `json:"id"`
	Link    string `json:"link"`
	Expires stamp  `json:"expires"`
	Name    string `json:"name,omitempty"`
	State   string `json:"state,omitempty"`
	Opened  *int   `json:"opened,omitempty"`
}

type requestShape struct {
	ID      string `json:"id"`
	Address string `json:"address,omitempty"`
	Name    string `json:"name"`
	Text    string `json:"text"`
	Time    stamp  `json:"time"`
	Effort  int    `json:"effort"`
}

func shapeReady(r Ready) readyShape {
	shape := readyShape{V: version}
	if r.Known {
		shape.Network, shape.Lab = &r.Network, &r.Lab
	}
	return shape
}

func shapeStatus(s chat.Status) statusShape {
	shape := statusShape{
		V: version, Ready: s.Ready, Relays: s.Relays, Circuits: make([]circuitShape, 0, len(s.Circuits)),
		ClockSkew: float64(s.ClockSkew.Milliseconds()) / 1000, Health: s.Health, Cover: s.Cover,
		Encrypted: s.Encrypted, Locked: s.Locked, Queued: s.Queued, Due: s.Due, Standing: s.Standing, Why: s.Why,
		Warnings: append([]string{}, s.Outlook.Warnings...), Consent: s.Outlook.NeedsConsent,
		Operator:  operatorShape{s.Outlook.Operator.Name, s.Outlook.Operator.Relays, s.Outlook.Operator.Both},
		Directory: make([]warningShape, 0, len(s.Warnings)), Steps: make([]stepShape, 0, len(s.Steps)),
	}
	for _, w := range s.Warnings {
		shape.Directory = append(shape.Directory, warningShape{Kind: w.Kind, Text: w.Text, Since: stamp(w.Since)})
	}
	for _, step := range s.Steps {
		shape.Steps = append(shape.Steps, stepShape{step.Name, step.State, step.Took.Milliseconds(), step.Detail})
	}
	if s.Network != "" {
		shape.Network, shape.Lab = &s.Network, &s.Lab
	}
	if s.Epoch != 0 {
		shape.Snapshot = &snapshotShape{Epoch: s.Epoch, Age: int64(s.SnapshotAge / time.Second)}
	}
	for _, c := range s.Circuits {
		shape.Circuits = append(shape.Circuits, shapeCircuit(c))
	}
	return shape
}

func (s *statusShape) status() chat.Status {
	status := chat.Status{
		Ready: s.Ready, Relays: s.Relays, ClockSkew: time.Duration(s.ClockSkew * float64(time.Second)), Health: s.Health,
		Cover: s.Cover, Encrypted: s.Encrypted, Locked: s.Locked, Queued: s.Queued, Due: s.Due, Standing: s.Standing, Why: s.Why,
		Outlook: circuit.Outlook{
			Warnings: s.Warnings, NeedsConsent: s.Consent,
			Operator: circuit.Operator{Name: s.Operator.Name, Relays: s.Operator.Relays, Both: s.Operator.Both},
		},
	}
	if s.Network != nil {
		status.Network = *s.Network
	}
	if s.Lab != nil {
		status.Lab = *s.Lab
	}
	if s.Snapshot != nil {
		status.Epoch, status.SnapshotAge = s.Snapshot.Epoch, time.Duration(s.Snapshot.Age)*time.Second
	}
	for _, w := range s.Directory {
		status.Warnings = append(status.Warnings, chat.Warning{Kind: w.Kind, Text: w.Text, Since: time.Time(w.Since)})
	}
	for _, step := range s.Steps {
		status.Steps = append(status.Steps, chat.Step{Name: step.Name, State: step.State, Took: time.Duration(step.Took) * time.Millisecond, Detail: step.Detail})
	}
	for _, c := range s.Circuits {
		status.Circuits = append(status.Circuits, c.info())
	}
	return status
}

func shapeCircuit(c circuit.Info) circuitShape {
	shape := circuitShape{ID: c.ID, Purpose: c.Purpose, Path: shapePath(c.Path), State: c.State, RTT: shapeRTT(c.RTT)}
	if c.Destination != (directory.RelayID{}) {
		d := c.Destination.String()
		shape.Destination = &d
	}
	return shape
}

func (c *circuitShape) info() circuit.Info {
	info := circuit.Info{ID: c.ID, Purpose: c.Purpose, Path: parsePath(c.Path), State: c.State, RTT: parseRTT(c.RTT)}
	if c.Destination != nil {
		info.Destination = parsePath([]string{*c.Destination})[0]
	}
	return info
}

func shapePath(path []directory.RelayID) []string {
	ids := make([]string, len(path))
	for i, id := range path {
		ids[i] = id.String()
	}
	return ids
}

func parsePath(ids []string) []directory.RelayID {
	path := make([]directory.RelayID, len(ids))
	for i, id := range ids {
		path[i], _ = directory.ParseRelayID(id) // of our own program: zero if it is not one
	}
	return path
}

// shapeRTT rounds up, so that a measured round trip is never shown as 0.
func shapeRTT(d time.Duration) *int64 {
	if d <= 0 {
		return nil
	}
	ms := int64((d + time.Millisecond - 1) / time.Millisecond)
	return &ms
}

func parseRTT(ms *int64) time.Duration {
	if ms == nil {
		return 0
	}
	return time.Duration(*ms) * time.Millisecond
}

func shapeServed(p chat.Path, served bool) pathShape {
	shape := pathShape{Relays: append([]string{}, p.Relays...), RTT: shapeRTT(p.RTT), Open: p.Open}
	if served {
		shape.Mailbox = &p.Mailbox
	}
	return shape
}

func shapeContact(c chat.Contact) contactShape {
	shape := contactShape{
		ID: c.ID, Name: c.Name, State: c.State, Verified: c.Verified, SafetyNumber: c.SafetyNumber, Problem: c.Problem, Introduced: c.Introduced, Asked: c.Asked,
		Unread: c.Unread, Latest: stampOf(c.Latest),
	}
	shape.Settings = shapeConversation(c.Settings)
	return shape
}

func shapeConversation(s *chat.Conversation) *conversationShape {
	if s == nil {
		return nil
	}
	return &conversationShape{int64(s.DisappearAfter / time.Second), s.Muted, s.Archived, s.Pinned, s.Draft, s.Displayed}
}

func (s *conversationShape) conversation() *chat.Conversation {
	if s == nil {
		return nil
	}
	return &chat.Conversation{
		DisappearAfter: time.Duration(s.DisappearAfter) * time.Second, Muted: s.Muted, Archived: s.Archived, Pinned: s.Pinned,
		Draft: s.Draft, Displayed: s.Displayed,
	}
}

func shapeGroup(g chat.Group) groupShape {
	return groupShape{g.ID, g.Name, append([]string{}, g.Members...), g.Pending, g.State, g.Admin, g.Warning, shapeConversation(g.Settings), g.Unread, stampOf(g.Latest), g.Administrator}
}

func (g *groupShape) group() chat.Group {
	return chat.Group{
		ID: g.ID, Name: g.Name, Members: g.Members, Pending: g.Pending, State: g.State, Admin: g.Admin, Warning: g.Warning,
		Settings: g.Settings.conversation(), Unread: g.Unread, Latest: g.Latest.time(), Administrator: g.Administrator,
	}
}

func (c *contactShape) contact() chat.Contact {
	contact := chat.Contact{
		ID: c.ID, Name: c.Name, State: c.State, Verified: c.Verified, SafetyNumber: c.SafetyNumber, Problem: c.Problem, Introduced: c.Introduced, Asked: c.Asked,
		Unread: c.Unread, Latest: c.Latest.time(),
	}
	contact.Settings = c.Settings.conversation()
	return contact
}

func shapeMessage(m chat.Message) messageShape {
	shape := messageShape{
		ID: m.ID, Contact: m.Contact, Direction: m.Direction, Text: m.Text, Seq: m.Seq, Time: stamp(m.Time), State: m.State,
		Late: m.Late, Copies: m.Copies, Kind: m.Kind, Reply: m.Reply, Edited: m.Edited, Deleted: m.Deleted, Reactions: m.Reactions,
		Expires: stampOf(m.Expires), Author: m.Author, Delivered: m.Delivered,
	}
	if m.File != nil {
		f := shapeFile(*m.File)
		shape.File = &f
	}
	return shape
}

func (m *messageShape) message() chat.Message {
	message := chat.Message{
		ID: m.ID, Contact: m.Contact, Direction: m.Direction, Text: m.Text, Seq: m.Seq, Time: time.Time(m.Time), State: m.State,
		Late: m.Late, Copies: m.Copies, Kind: m.Kind, Reply: m.Reply, Edited: m.Edited, Deleted: m.Deleted, Reactions: m.Reactions,
		Expires: m.Expires.time(), Author: m.Author, Delivered: m.Delivered,
	}
	if m.File != nil {
		f := m.File.file()
		message.File = &f
	}
	return message
}

func shapeWhy(w chat.Why) whyShape {
	shape := whyShape{History: make([]entryShape, 0, len(w.History)), NextTry: stampOf(w.NextTry), Expires: stampOf(w.Expires), Next: w.Next}
	for _, h := range w.History {
		shape.History = append(shape.History, entryShape{stamp(h.Time), h.State, h.Detail})
	}
	for _, e := range w.Earlier {
		shape.Earlier = append(shape.Earlier, earlierShape{stamp(e.Time), e.Text})
	}
	return shape
}

func (w *whyShape) why() chat.Why {
	why := chat.Why{NextTry: w.NextTry.time(), Expires: w.Expires.time(), Next: w.Next}
	for _, h := range w.History {
		why.History = append(why.History, chat.HistoryEntry{Time: time.Time(h.Time), State: h.State, Detail: h.Detail})
	}
	for _, e := range w.Earlier {
		why.Earlier = append(why.Earlier, chat.Earlier{Time: time.Time(e.Time), Text: e.Text})
	}
	return why
}

func shapeFile(f chat.File) fileShape {
	return fileShape{f.ID, f.Contact, f.Direction, f.Name, f.Size, f.Padded, f.Done, f.State, stamp(f.Time), f.Burst, f.Detail, f.Path, f.Paused}
}

func (f *fileShape) file() chat.File {
	return chat.File{
		ID: f.ID, Contact: f.Contact, Direction: f.Direction, Name: f.Name, Size: f.Size, Padded: f.Padded, Done: f.Done,
		State: f.State, Time: time.Time(f.Time), Burst: f.Burst, Detail: f.Detail, Path: f.Path, Paused: f.Paused,
	}
}

// shapeInvite describes an invite; listed adds what only a list tells.
func shapeInvite(i chat.Invite, listed bool) inviteShape {
	shape := inviteShape{ID: i.ID, Link: i.Link, Expires: stamp(i.Expires)}
	if listed {
		shape.Name, shape.State, shape.Opened = i.Name, i.State, &i.Opened
	}
	return shape
}

func (i *inviteShape) invite() chat.Invite {
	invite := chat.Invite{ID: i.ID, Link: i.Link, Expires: time.Time(i.Expires), Name: i.Name, State: i.State}
	if i.Opened != nil {
		invite.Opened = *i.Opened
	}
	return invite
}

func shapeRequest(r chat.Request) requestShape {
	return requestShape{r.ID, r.Address, r.Name, r.Text, stamp(r.Time), r.Effort}
}

func (r *requestShape) request() chat.Request {
	return chat.Request{ID: r.ID, Address: r.Address, Name: r.Name, Text: r.Text, Time: time.Time(r.Time), Effort: r.Effort}
}

// list shapes each of a list; it is never null.
func list[A, B any](from []A, shape func(A) B) []B {
	to := make([]B, 0, len(from))
	for _, a := range from {
		to = append(to, shape(a))
	}
	return to
}
