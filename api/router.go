package api

import (
	"cmp"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"stile/vpn"
)

// router finds the resource of a path. It never redirects.
type router struct {
	fixed map[string]*resource
	named []*resource // with {names} in the path
}

// resource is a path with what is served there by method.
type resource struct {
	path     string
	segments []string
	isPublic map[string]bool
	isAdmin  bool
	scopes   map[string]vpn.Scopes // what a token needs, by method
	serve    map[string]handler
	events   map[string]slog.Handler // where the events of a method go
	allow    string                  // the methods, as the header Allow has them
}

// verbs is the order in which methods are named.
var verbs = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

func newRouter(entries []entry, log slog.Handler) *router {
	t := &router{fixed: make(map[string]*resource)}
	byPath := make(map[string]*resource)
	for _, e := range entries {
		method, path, _ := strings.Cut(e.pattern, " ")
		s := byPath[path]
		if s == nil {
			s = &resource{
				path: path, segments: strings.Split(path, "/"), isAdmin: strings.HasPrefix(path, "/api/admin/"),
				isPublic: make(map[string]bool), scopes: make(map[string]vpn.Scopes), serve: make(map[string]handler), events: make(map[string]slog.Handler),
			}
			byPath[path] = s
			if strings.Contains(path, "{") {
				t.named = append(t.named, s)
			} else {
				t.fixed[path] = s
			}
		}
		s.add(method, e, log)
	}
	return t
}

func (s *resource) add(method string, e entry, log slog.Handler) {
	methods := []string{method}
	if method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	for _, m := range methods {
		s.serve[m], s.isPublic[m], s.events[m] = e.serve, public[e.pattern], eventsOf(log, m, s.path)
		s.scopes[m] = cmp.Or(narrow[e.pattern], vpn.ScopeAccount)
	}
	allowed := slices.DeleteFunc(slices.Clone(verbs), func(v string) bool { return s.serve[v] == nil })
	s.allow = strings.Join(allowed, ", ")
}

// find returns the resource of a path, or nil. One slash at the end does not count.
func (t *router) find(path string) *resource {
	if s := t.fixed[path]; s != nil {
		return s
	}
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	if s := t.fixed[path]; s != nil {
		return s
	}
	for _, s := range t.named {
		if s.matches(path) {
			return s
		}
	}
	return nil
}

// admits refuses a token that is not made for this part of the API, whoever its user is: CodeForbidden in administration,
// elsewhere CodeInsufficientScope.
func (s *resource) admits(method string, actor *vpn.Actor) error {
	switch scopes := actor.Token.Scopes; {
	case s.isAdmin && !scopes.IsAdmin():
		return vpn.Refusal(vpn.CodeForbidden)
	case !s.isAdmin && !scopes.Has(s.scopes[method]):
		return &vpn.Error{Code: vpn.CodeInsufficientScope, Scope: s.scopes[method]}
	default:
		return nil
	}
}

func (s *resource) matches(path string) bool {
	for i, segment := range s.segments {
		head, rest, found := strings.Cut(path, "/")
		isLast := i == len(s.segments)-1
		if found == isLast || (head != segment && (head == "" || !strings.HasPrefix(segment, "{"))) {
			return false
		}
		path = rest
	}
	return true
}

// value returns what a {name} of the resource's path stands for in a path that matches it.
func (s *resource) value(path, name string) string {
	for _, segment := range s.segments {
		head, rest, _ := strings.Cut(path, "/")
		if len(segment) == len(name)+2 && segment[0] == '{' && segment[1:len(segment)-1] == name {
			return head
		}
		path = rest
	}
	return ""
}
