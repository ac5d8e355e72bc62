package node

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
)

func TestPing(t *testing.T) {
	for method, status := range map[string]int{"GET": 204, "HEAD": 204, "POST": 405, "OPTIONS": 405} {
		w := httptest.NewRecorder()
		Ping().ServeHTTP(w, httptest.NewRequest(method, "/ping", nil))
		want := http.Header{"Access-Control-Allow-Origin": {"*"}, "Timing-Allow-Origin": {"*"}, "Cache-Control": {"no-store"}}
		if status == 405 {
			want.Set("Allow", "GET, HEAD")
		}
		if w.Code != status || !reflect.DeepEqual(w.Header(), want) || w.Body.Len() > 0 {
			t.Errorf("%s: %d %v %q", method, w.Code, w.Header(), w.Body)
		}
	}
}
