// Runs Kafka's command-line tools one after the other in one JVM: starting one per tool takes longer than most tools do.
//
// A command is a line on stdin: the class, the file that becomes the tool's stdin (or nothing), and the arguments, all
// separated by U+001F. The answer on stdout: a line "STATUS LENGTH", then so many bytes of what the tool printed.

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;

import org.apache.kafka.common.utils.Exit;

public final class Tools {
    private static final String SEPARATOR = "\u001f";
    private static final long PATIENCE_MS = 120_000;
    private static final int RUNNING = -1;
    private static final List<Runnable> HOOKS = new CopyOnWriteArrayList<>();
    private static final AtomicInteger STATUS = new AtomicInteger();

    /** Where a tool would have ended the process. */
    private static final class Exited extends Error {
        Exited(int status) {
            super("exit " + status, null, false, false);
        }
    }

    public static void main(String[] nothing) throws Exception {
        PrintStream answers = System.out;
        InputStream input = System.in;
        Exit.setExitProcedure((status, message) -> exit(status));
        Exit.setHaltProcedure((status, message) -> exit(status));
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        BufferedReader commands = new BufferedReader(new InputStreamReader(input, StandardCharsets.UTF_8));
        for (String line; (line = commands.readLine()) != null;) {
            byte[] printed = run(line.split(SEPARATOR, -1));
            answers.println(STATUS.get() + " " + printed.length);
            answers.write(printed);
            answers.flush();
        }
    }

    private static void exit(int status) {
        // What a tool makes of the error that follows does not count.
        if (STATUS.compareAndSet(RUNNING, status)) {
            System.setOut(new PrintStream(OutputStream.nullOutputStream()));
            System.setErr(new PrintStream(OutputStream.nullOutputStream()));
        }
        throw new Exited(status);
    }

    private static byte[] run(String[] fields) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        System.setOut(new PrintStream(out, true));
        System.setErr(new PrintStream(err, true));
        System.setIn(fields[1].isEmpty() ? InputStream.nullInputStream() : new FileInputStream(fields[1]));
        STATUS.set(RUNNING);
        HOOKS.clear();
        Thread tool = new Thread(() -> call(fields[0], Arrays.copyOfRange(fields, 2, fields.length)));
        tool.setDaemon(true);
        tool.start();
        tool.join(PATIENCE_MS);
        if (tool.isAlive()) {
            for (StackTraceElement element : tool.getStackTrace())
                System.err.println("hangs in " + element);
            STATUS.set(99);
        }
        STATUS.compareAndSet(RUNNING, 0);
        out.write(err.toByteArray());
        return out.toByteArray();
    }

    private static void call(String name, String[] arguments) {
        try {
            Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) arguments);
        } catch (InvocationTargetException e) {
            if (!(e.getCause() instanceof Exited)) {
                e.getCause().printStackTrace();
                STATUS.compareAndSet(RUNNING, 1);
            }
        } catch (ReflectiveOperationException e) {
            e.printStackTrace();
            STATUS.compareAndSet(RUNNING, 1);
        }
        STATUS.compareAndSet(RUNNING, 0);
        HOOKS.forEach(Runnable::run);
    }
}
