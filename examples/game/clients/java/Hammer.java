import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * Hammer is a client of the game service in Java, with nothing but the JDK (17 or later): a load hammer, a prober,
 * and a test suite that needs the service's network fake. The service speaks JSON over HTTP.
 *
 * <pre>
 * java Hammer.java hammer --url http://127.0.0.1:8080 [--duration 10s] [--concurrency 8] [--rate 200]
 * java Hammer.java prober --url http://127.0.0.1:8080 [--duration 60s] [--concurrency 2] [--rate 1]
 * java Hammer.java suite  --url http://127.0.0.1:8080 --control http://127.0.0.1:8081
 * </pre>
 *
 * hammer plays whole games, with at most --rate requests a second, and 0 for as many as are answered. prober plays one
 * short game at a time, --rate games a second, and says of each whether all was well. suite has the fake answer every
 * failure code it knows, lose answers, and looks into what the fake has recorded. Each ends with 0 if all was well, 1 if
 * not, and 2 if it was not called as above.
 */
public final class Hammer {
    public static void main(String[] args) throws Exception {
        Flags flags;
        try {
            flags = new Flags(args);
        } catch (IllegalArgumentException e) {
            System.err.println("Hammer: " + e.getMessage());
            System.exit(2);
            return;
        }
        boolean well;
        try {
            well = switch (flags.mode) {
                case "hammer" -> load(flags, false);
                case "prober" -> load(flags, true);
                default -> new Suite(flags).run();
            };
        } catch (IOException e) {
            System.err.println("Hammer: no answer from " + flags.url + " or " + flags.control + ": " + e);
            well = false;
        }
        System.exit(well ? 0 : 1);
    }

    // ---- Flags

    /** What the command line says. */
    static final class Flags {
        final String mode;
        String url, control;
        Duration duration = Duration.ofSeconds(10);
        int concurrency = 8;
        double rate = 0;

        Flags(String[] args) {
            if (args.length == 0 || !List.of("hammer", "prober", "suite").contains(args[0])) {
                throw new IllegalArgumentException("want hammer, prober or suite first, and then its flags");
            }
            mode = args[0];
            if (mode.equals("prober")) {
                duration = Duration.ofMinutes(1);
                concurrency = 2;
                rate = 1;
            }
            for (int i = 1; i < args.length; i += 2) {
                if (i + 1 == args.length) {
                    throw new IllegalArgumentException(args[i] + " has no value");
                }
                String value = args[i + 1];
                switch (args[i]) {
                    case "--url" -> url = address(args[i], value);
                    case "--control" -> control = address(args[i], value);
                    case "--duration" -> duration = duration(value);
                    case "--concurrency" -> concurrency = (int) number(args[i], value, 1, 10_000);
                    case "--rate" -> rate = number(args[i], value, 0, 1_000_000);
                    default -> throw new IllegalArgumentException("no flag " + args[i]);
                }
            }
            if (url == null) {
                throw new IllegalArgumentException("--url is missing: where the game service is, such as http://127.0.0.1:8080");
            }
            if (mode.equals("suite") && control == null) {
                throw new IllegalArgumentException("--control is missing: the control plane of the game's fake, as it says when it is ready");
            }
        }

        private static String address(String flag, String value) {
            if (!value.startsWith("http://") && !value.startsWith("https://")) {
                throw new IllegalArgumentException(flag + " " + value + ": want http://HOST:PORT or https://HOST:PORT");
            }
            return value.replaceAll("/+$", "");
        }

        private static double number(String flag, String value, double least, double most) {
            try {
                double n = Double.parseDouble(value);
                if (n >= least && n <= most) {
                    return n;
                }
            } catch (NumberFormatException e) {
                // said below
            }
            throw new IllegalArgumentException("%s %s: want a number from %.0f to %.0f".formatted(flag, value, least, most));
        }

        private static Duration duration(String value) {
            try {
                return Duration.parse("PT" + value);
            } catch (java.time.format.DateTimeParseException e) {
                throw new IllegalArgumentException("--duration " + value + ": want a duration such as 30s or 5m");
            }
        }
    }

    // ---- The client

    /** A failure that the service answered, by its code. */
    static final class Failure extends Exception {
        final int status, code;
        final boolean retryable;
        final String id;
        final Duration retryAfter;

        Failure(HttpResponse<String> response, Json problem) {
            super("%d %s (error id %s)".formatted(problem.at("code").integer(), problem.at("detail").string(), problem.at("id").string()));
            status = response.statusCode();
            code = problem.at("code").integer();
            retryable = problem.at("retryable").truth();
            id = problem.at("id").string();
            retryAfter = response.headers().firstValue("Retry-After").map(s -> Duration.ofSeconds(Long.parseLong(s))).orElse(Duration.ZERO);
        }
    }

    /** HTTP with JSON, and failures as exceptions. */
    static final class Caller {
        private final HttpClient http;
        private final String base;

        Caller(String base) {
            this.base = base;
            this.http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(5)).build();
        }

        Json call(String method, String path, Json body, String... headers) throws Failure, IOException, InterruptedException {
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(base + path)).timeout(Duration.ofSeconds(10));
            if (body == null) {
                request.method(method, HttpRequest.BodyPublishers.noBody());
            } else {
                request.method(method, HttpRequest.BodyPublishers.ofString(body.toString())).header("Content-Type", "application/json");
            }
            for (int i = 0; i < headers.length; i += 2) {
                request.header(headers[i], headers[i + 1]);
            }
            HttpResponse<String> response = http.send(request.build(), HttpResponse.BodyHandlers.ofString());
            Json answer = response.body().isEmpty() ? Json.object() : Json.parse(response.body());
            if (response.statusCode() >= 400) {
                throw new Failure(response, answer);
            }
            return answer;
        }
    }

    /** The game service, as its contract has it. */
    static final class Service {
        private final Caller caller;
        private final Pace pace;
        private final Tally tally;

        Service(Caller caller, Pace pace, Tally tally) {
            this.caller = caller;
            this.pace = pace;
            this.tally = tally;
        }

        /**
         * Sends a request that changes something. It has an id, so that it can be sent again, with the same id, when
         * its answer was lost or the service says that it may be.
         */
        Json change(String path, Json body) throws Failure, IOException, InterruptedException {
            body.put("requestId", UUID.randomUUID().toString());
            for (int attempt = 1; ; attempt++) {
                try {
                    return timed("POST", path, body);
                } catch (Failure f) {
                    if (!f.retryable || attempt == 4) {
                        throw f;
                    }
                    Thread.sleep(f.retryAfter.toMillis() + backOff(attempt));
                } catch (IOException e) {
                    if (attempt == 4) {
                        throw e;
                    }
                    Thread.sleep(backOff(attempt));
                }
            }
        }

        private static long backOff(int attempt) {
            return ThreadLocalRandom.current().nextLong(50L << attempt);
        }

        private Json timed(String method, String path, Json body) throws Failure, IOException, InterruptedException {
            pace.take();
            long begun = System.nanoTime();
            try {
                Json answer = caller.call(method, path, body);
                tally.answered(System.nanoTime() - begun);
                return answer;
            } catch (Failure f) {
                tally.answered(System.nanoTime() - begun);
                tally.failed("code " + f.code);
                throw f;
            } catch (IOException e) {
                tally.failed(e.getClass().getSimpleName());
                throw e;
            }
        }

        Json create() throws Failure, IOException, InterruptedException {
            return change("/v1/games", Json.object()).at("game");
        }

        String join(Json game, String side, String name) throws Failure, IOException, InterruptedException {
            Json answer = change("/v1/games/" + game.at("id").string() + "/join", Json.object().put("side", side).put("name", name));
            return answer.at("seatToken").string();
        }

        Json drop(Json game, String token, int column) throws Failure, IOException, InterruptedException {
            Json body = Json.object().put("seatToken", token).put("column", column);
            return change("/v1/games/" + game.at("id").string() + "/drop", body).at("game");
        }

        Json get(Json game) throws Failure, IOException, InterruptedException {
            return timed("GET", "/v1/games/" + game.at("id").string(), null).at("game");
        }
    }

    // ---- Load

    /** Gives out one turn every so often, and a turn at once when the rate is 0. It does not save turns up. */
    static final class Pace {
        private final long gap;
        private long next = System.nanoTime();

        Pace(double rate) {
            gap = rate > 0 ? (long) (1e9 / rate) : 0;
        }

        void take() throws InterruptedException {
            if (gap == 0) {
                return;
            }
            long turn;
            synchronized (this) {
                next = Math.max(next, System.nanoTime());
                turn = next;
                next += gap;
            }
            TimeUnit.NANOSECONDS.sleep(turn - System.nanoTime());
        }
    }

    /** What has happened, counted by all threads. */
    static final class Tally {
        private long[] latencies = new long[1 << 12];
        private int answers;
        private int games;
        private final Map<String, Integer> failures = new TreeMap<>();
        private final List<String> wrong = new ArrayList<>();

        synchronized void answered(long nanoseconds) {
            if (answers == latencies.length) {
                latencies = Arrays.copyOf(latencies, 2 * answers);
            }
            latencies[answers++] = nanoseconds;
        }

        synchronized void failed(String how) {
            failures.merge(how, 1, Integer::sum);
        }

        synchronized void played() {
            games++;
        }

        synchronized void wrong(String what) {
            if (wrong.size() < 20) {
                wrong.add(what);
            }
        }

        /** Prints all of it; whether all was well. */
        synchronized boolean report(long nanoseconds) {
            Arrays.sort(latencies, 0, answers);
            double seconds = nanoseconds / 1e9;
            System.out.printf("%d games, %d answers in %.1f s (%.1f/s)%n", games, answers, seconds, answers / seconds);
            if (answers > 0) {
                System.out.printf("latency p50 %.1f ms, p90 %.1f ms, p99 %.1f ms, max %.1f ms%n", share(0.5), share(0.9), share(0.99), share(1));
            }
            failures.forEach((how, n) -> System.out.printf("failed: %s, %d times%n", how, n));
            wrong.forEach(what -> System.out.println("wrong: " + what));
            return wrong.isEmpty() && games > 0;
        }

        private double share(double q) {
            return latencies[(int) Math.min(answers - 1, Math.ceil(q * answers) - 1)] / 1e6;
        }
    }

    /** Plays games for a while; whether all went as they must. */
    static boolean load(Flags flags, boolean probe) throws InterruptedException {
        Caller caller = new Caller(flags.url);
        Tally tally = new Tally();
        Pace games = new Pace(probe ? flags.rate : 0), requests = new Pace(probe ? 0 : flags.rate);
        long begun = System.nanoTime(), end = begun + flags.duration.toNanos();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < flags.concurrency; i++) {
            Service service = new Service(caller, requests, tally);
            Thread thread = new Thread(() -> {
                try {
                    for (games.take(); System.nanoTime() < end; games.take()) {
                        String verdict = "well";
                        try {
                            play(service, probe);
                            tally.played();
                        } catch (Failure | IOException | IllegalStateException e) {
                            verdict = e.toString();
                            tally.wrong(verdict);
                        }
                        if (probe) {
                            System.out.printf("%s %s%n", java.time.Instant.now(), verdict);
                        }
                    }
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }, "player " + i);
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) {
            thread.join();
        }
        return tally.report(System.nanoTime() - begun);
    }

    /** Plays a game that Red wins with four in the first column, or the beginning of one, and checks each answer. */
    static void play(Service service, boolean brief) throws Failure, IOException, InterruptedException {
        Json game = service.create();
        check(game.at("state").string().equals("STATE_WAITING"), "a new game waits for players", game);
        String red = service.join(game, "SIDE_RED", "ann"), yellow = service.join(game, "SIDE_YELLOW", "bob");
        int moves = brief ? 2 : 7;
        for (int i = 0; i < moves; i++) {
            game = service.drop(game, i % 2 == 0 ? red : yellow, i % 2);
            check(game.at("moves").list().size() == i + 1, "move %d is the last".formatted(i + 1), game);
        }
        Json now = service.get(game);
        check(now.toString().equals(game.toString()), "the game stands as the last move left it", now);
        if (!brief) {
            check(game.at("state").string().equals("STATE_FINISHED") && game.at("winner").string().equals("SIDE_RED"), "Red has won", game);
        }
    }

    static void check(boolean is, String what, Object but) {
        if (!is) {
            throw new IllegalStateException("want: " + what + "; got " + but);
        }
    }

    // ---- The suite

    /** Tests of a client against the network fake. */
    static final class Suite {
        private final Caller game, control;
        private int passed, failed;

        Suite(Flags flags) {
            game = new Caller(flags.url);
            control = new Caller(flags.control);
        }

        interface Test {
            void run() throws Exception;
        }

        boolean run() throws Exception {
            test("every failure code arrives as what it is", this::everyCode);
            test("an answer that was lost is asked for again, and the move is made once", this::lostAnswer);
            test("a service that is busy is asked again when it says", this::busy);
            test("what was recorded is what was called", this::recording);
            System.out.printf("%d passed, %d failed%n", passed, failed);
            return failed == 0;
        }

        private void test(String name, Test test) throws Exception {
            control.call("POST", "/reset", null);
            try {
                test.run();
                passed++;
                System.out.println("ok: " + name);
            } catch (Failure | IOException | IllegalStateException e) {
                failed++;
                System.out.println("FAILED: " + name + ": " + e);
            }
        }

        private Service player() {
            return new Service(game, new Pace(0), new Tally());
        }

        private void everyCode() throws Exception {
            List<Json> codes = control.call("GET", "/", null).at("failures").list();
            check(codes.size() > 20, "the fake says which codes there are", codes.size());
            for (Json code : codes) {
                int number = code.at("number").integer();
                control.call("POST", "/faults", Json.object().put("code", number).put("count", 1));
                try {
                    Json answer = game.call("GET", "/v1/games", null);
                    throw new IllegalStateException("code " + number + " was answered with " + answer);
                } catch (Failure f) {
                    check(f.code == number, "code " + number, f);
                    check(f.status == code.at("http_status").integer(), "status " + code.at("http_status"), f.status);
                    check(f.retryable == code.at("retryable").truth(), "retryable: " + code.at("retryable"), f.retryable);
                    check(f.id.length() == 12, "an error id to tell the service's people", f.id);
                }
            }
            for (Json call : calls()) {
                check(call.at("injected").truth(), "all of them were the fault's", call);
            }
        }

        private void lostAnswer() throws Exception {
            Service ann = player();
            Json made = ann.create();
            String red = ann.join(made, "SIDE_RED", "ann");
            ann.join(made, "SIDE_YELLOW", "bob");
            control.call("POST", "/faults", Json.object().put("action", "rst").put("phase", "after-commit").put("count", 1)
                .put("route", "POST /v1/games/{game_id}/drop"));
            Json after = ann.drop(made, red, 3);
            check(after.at("moves").list().size() == 1, "one move", after);
            List<Json> drops = calls().stream().filter(c -> c.at("route").string().endsWith("/drop")).toList();
            check(drops.size() == 2, "the client has asked twice", drops);
            check(drops.get(0).at("committed").truth(), "the move was made the first time", drops.get(0));
            check(drops.get(1).at("duplicate_of").integer() == drops.get(0).at("seq").integer(), "the second repeats the first", drops.get(1));
        }

        private void busy() throws Exception {
            control.call("POST", "/faults", Json.object().put("code", 503).put("retry_after", "1s").put("count", 1).put("route", "POST /v1/games"));
            long begun = System.nanoTime();
            player().create();
            check(System.nanoTime() - begun >= 1_000_000_000L, "a second until it is sent again", System.nanoTime() - begun);
            check(calls().size() == 2, "two calls", calls());
        }

        private void recording() throws Exception {
            play(player(), true);
            Map<String, Integer> seen = new HashMap<>();
            for (Json call : calls()) {
                check(call.at("committed").truth(), "nothing failed", call);
                seen.merge(call.at("route").string(), 1, Integer::sum);
            }
            check(seen.equals(Map.of("POST /v1/games", 1, "POST /v1/games/{game_id}/join", 2, "POST /v1/games/{game_id}/drop", 2,
                "GET /v1/games/{game_id}", 1)), "what a short game calls", seen);
        }

        private List<Json> calls() throws Exception {
            return control.call("GET", "/calls", null).at("calls").list();
        }
    }

    // ---- JSON, which the JDK does not have

    /** A value of JSON (RFC 8259): null, Boolean, Double, String, a list or an object. What is missing in an object is null. */
    static final class Json {
        private final Object value;

        private Json(Object value) {
            this.value = value;
        }

        static Json object() {
            return new Json(new LinkedHashMap<String, Json>());
        }

        @SuppressWarnings("unchecked")
        private Map<String, Json> fields() {
            return (Map<String, Json>) value;
        }

        Json put(String name, Object field) {
            fields().put(name, new Json(field instanceof Number n ? (Object) n.doubleValue() : field));
            return this;
        }

        Json at(String name) {
            return fields().getOrDefault(name, new Json(null));
        }

        @SuppressWarnings("unchecked")
        List<Json> list() {
            return value == null ? List.of() : (List<Json>) value;
        }

        String string() {
            return value == null ? "" : (String) value;
        }

        int integer() {
            return value == null ? 0 : ((Double) value).intValue();
        }

        boolean truth() {
            return value != null && (Boolean) value;
        }

        @Override
        public String toString() {
            if (value instanceof Map<?, ?> m) {
                List<String> fields = new ArrayList<>();
                m.forEach((name, field) -> fields.add(quoted((String) name) + ":" + field));
                return "{" + String.join(",", fields) + "}";
            }
            if (value instanceof List<?> l) {
                return "[" + String.join(",", l.stream().map(Object::toString).toList()) + "]";
            }
            if (value instanceof String s) {
                return quoted(s);
            }
            if (value instanceof Double d && d == Math.rint(d)) {
                return Long.toString(d.longValue());
            }
            return String.valueOf(value);
        }

        private static String quoted(String s) {
            StringBuilder b = new StringBuilder("\"");
            for (char c : s.toCharArray()) {
                if (c == '"' || c == '\\') {
                    b.append('\\').append(c);
                } else if (c < ' ') {
                    b.append("\\u%04x".formatted((int) c));
                } else {
                    b.append(c);
                }
            }
            return b.append('"').toString();
        }

        /** Reads a text. It throws an IllegalStateException that says where the text is none of JSON. */
        static Json parse(String text) {
            Reader r = new Reader(text);
            Json json = r.value();
            r.space();
            if (r.at < text.length()) {
                throw r.unexpected();
            }
            return json;
        }

        private static final class Reader {
            final String text;
            int at;

            Reader(String text) {
                this.text = text;
            }

            IllegalStateException unexpected() {
                String rest = text.substring(at, Math.min(text.length(), at + 20));
                return new IllegalStateException("no JSON at character %d: %s".formatted(at, rest.isEmpty() ? "it ends" : rest));
            }

            void space() {
                while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
                    at++;
                }
            }

            boolean next(String token) {
                space();
                if (!text.startsWith(token, at)) {
                    return false;
                }
                at += token.length();
                return true;
            }

            void want(String token) {
                if (!next(token)) {
                    throw unexpected();
                }
            }

            Json value() {
                if (next("{")) {
                    return objectBehindBrace();
                }
                if (next("[")) {
                    List<Json> list = new ArrayList<>();
                    if (!next("]")) {
                        do {
                            list.add(value());
                        } while (next(","));
                        want("]");
                    }
                    return new Json(list);
                }
                if (next("\"")) {
                    return new Json(stringBehindQuote());
                }
                if (next("true")) {
                    return new Json(true);
                }
                if (next("false")) {
                    return new Json(false);
                }
                return next("null") ? new Json(null) : new Json(number());
            }

            private Json objectBehindBrace() {
                Json object = object();
                if (next("}")) {
                    return object;
                }
                do {
                    want("\"");
                    String name = stringBehindQuote();
                    want(":");
                    object.fields().put(name, value());
                } while (next(","));
                want("}");
                return object;
            }

            private String stringBehindQuote() {
                StringBuilder b = new StringBuilder();
                while (at < text.length()) {
                    char c = text.charAt(at++);
                    if (c == '"') {
                        return b.toString();
                    }
                    b.append(c == '\\' ? escaped() : c);
                }
                throw unexpected();
            }

            private char escaped() {
                if (at == text.length()) {
                    throw unexpected();
                }
                char c = text.charAt(at++);
                int which = "bfnrt".indexOf(c);
                if (which >= 0) {
                    return "\b\f\n\r\t".charAt(which);
                }
                if (c != 'u') {
                    return c;
                }
                try {
                    at += 4;
                    return (char) Integer.parseInt(text.substring(at - 4, at), 16);
                } catch (NumberFormatException | StringIndexOutOfBoundsException e) {
                    at -= 4;
                    throw unexpected();
                }
            }

            private Double number() {
                int begin = at;
                while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
                    at++;
                }
                try {
                    return Double.parseDouble(text.substring(begin, at));
                } catch (NumberFormatException e) {
                    at = begin;
                    throw unexpected();
                }
            }
        }
    }
}
