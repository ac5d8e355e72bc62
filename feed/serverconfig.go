package feed

import "stile/wire"

// configPatience is how long, in milliseconds, the answer to a configuration is waited for before it is sent again; each
// time twice as long, up to slowest.
const configPatience int64 = 5_000

// configServer is the control side of a node's configuration: what the node serves is written down, and what is wanted
// of it is sent until it is served or refused. It is level-triggered, has its own revisions, and shares nothing with
// the keys: neither waits for the other, but for the first word, so that a node is online only when it is known which
// ports it serves.
type configServer struct {
	// isAble: the node takes configurations.
	isAble bool
	// serving is what the node last said; isNoted: that is written down. noting is what is being written.
	serving, noting   wire.Serving
	isNoted, isNoting bool
	wanted            wire.Config
	// isBusy: a NoteServing or ReadConfig is under way. isStale: wanted may have changed.
	isBusy, isStale bool
	failures        int
	retryAt         int64 // of what failed
	sent            int64 // the revision sent last
	tries           int
	sendAt          int64 // not before
}

// greetConfig begins with what the Hello says.
func (s *Server) greetConfig(h *wire.Hello) []Effect {
	c := &s.config
	if c.isAble = h.Caps&wire.CapConfig != 0; !c.isAble {
		return []Effect{ReadPosition{}}
	}
	if !isSane(&h.Serving) {
		return s.close("a hello with ports that cannot be")
	}
	c.serving = h.Serving
	return s.note()
}

func isSane(s *wire.Serving) bool { return s.Ports.Check() == nil && s.Rev >= 0 && s.RefusedRev >= 0 }

func (s *Server) note() []Effect {
	c := &s.config
	c.isBusy, c.isNoting, c.noting = true, true, c.serving
	return []Effect{NoteServing{c.noting}}
}

// reported takes what a node says of itself. Reports may come late and in any order; what they tell only rises.
func (s *Server) reported(r *wire.Serving) []Effect {
	c := &s.config
	if !c.isAble {
		return nil
	}
	if !isSane(r) {
		return s.close("a report of ports that cannot be")
	}
	if r.Rev > c.serving.Rev || r.Rev == c.serving.Rev && r.RefusedRev > c.serving.RefusedRev {
		c.serving, c.isNoted = *r, false
	}
	return s.pumpConfig()
}

// configRead goes on when what the node serves is written down, or what is wanted was read.
func (s *Server) configRead(wanted wire.Config) []Effect {
	c := &s.config
	if !c.isBusy {
		return nil
	}
	if c.isNoting {
		c.isNoted = c.noting == c.serving
	}
	c.isBusy, c.isNoting, c.failures, c.retryAt, c.wanted = false, false, 0, 0, wanted
	if s.phase == serverPlaces {
		return []Effect{ReadPosition{}}
	}
	return s.pumpConfig()
}

// WantedConfig is the revision of the configuration that is wanted of the node, as far as it was read.
func (s *Server) WantedConfig() int64 { return s.config.wanted.Rev }

func (s *Server) configFailed() []Effect {
	c := &s.config
	if !c.isBusy {
		return nil
	}
	if s.phase == serverPlaces {
		return s.close("what the node serves could not be written down")
	}
	c.isBusy, c.isNoting, c.isStale = false, false, true
	c.retryAt = s.now + min(slowest, int64(1000)<<min(c.failures, 6))
	c.failures++
	return nil
}

// pumpConfig does what is next, if anything is.
func (s *Server) pumpConfig() []Effect {
	c := &s.config
	if s.phase != serverLive || !c.isAble || c.isBusy || s.now < c.retryAt {
		return nil
	}
	switch {
	case !c.isNoted:
		out, wait := s.spend(&s.allowance.servings, servings, "says what it serves")
		if wait > 0 {
			c.retryAt = s.now + wait
			return out
		}
		return s.note()
	case c.isStale:
		c.isBusy, c.isStale = true, false
		return []Effect{ReadConfig{}}
	case c.wanted.Rev <= max(c.serving.Rev, c.serving.RefusedRev):
		return nil
	case c.sent == c.wanted.Rev && s.now < c.sendAt:
		return nil
	}
	if c.sent != c.wanted.Rev {
		c.sent, c.tries = c.wanted.Rev, 0
	}
	c.sendAt = s.now + min(slowest, configPatience<<min(c.tries, 4))
	c.tries++
	config := c.wanted
	return []Effect{Send{&config}}
}
