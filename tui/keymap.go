package tui

// binding is one key of the help screen. Keys are matched where they act; this
// table is what people are told, and a test presses each of them.
type binding struct {
	keys, does string
}

// group is a titled part of the help.
type group struct {
	title    string
	bindings []binding
}

// keyTable lists every key by the place where it works.
func keyTable() []group {
	return []group{
		{"everywhere", []binding{
			{"f1", "help"},
			{"f9", "lock, on all terminals"},
			{"esc", "close the top thing"},
			{"ctrl+c", "clear input; twice quits"},
			{"ctrl+l", "draw the screen again"},
		}},
		{"contacts", []binding{
			{"ctrl+n", "next contact"},
			{"ctrl+p", "previous contact"},
			{"alt+1", "contact by number, to alt+9"},
			{"alt+a", "next unread"},
			{"alt+n", "invite a contact"},
		}},
		{"conversation", []binding{
			{"pgup", "scroll back"},
			{"pgdown", "scroll on"},
			{"alt+home", "to the first message"},
			{"alt+end", "to the last message"},
		}},
		{"composer", []binding{
			{"enter", "send"},
			{"ctrl+j", "new line"},
		}},
	}
}

// commandTable lists the slash commands.
func commandTable() []binding {
	return []binding{
		{"/invite [name]", "make a one-time invite"},
		{"/accept LINK NAME", "add the contact who sent you a link"},
		{"/cover [PROFILE]", "traffic that hides when you talk"},
		{"/consent", "use an old snapshot of the network"},
		{"/help", "this page"},
		{"/quit", "stop; queued messages stay on this disk"},
	}
}
