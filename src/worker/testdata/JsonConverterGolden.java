// Prints what Kafka's own JsonConverter and StringConverter write, one case per line:
//   name TAB schemas.enable=true TAB schemas.enable=false TAB StringConverter
// It made json_converter.golden, with the jars of Apache Kafka 4.3.1:
//   javac -cp "$JARS" JsonConverterGolden.java && java -cp "$JARS:." JsonConverterGolden > json_converter.golden
// The Rust test builds the same cases in the same order (converters/golden_test.rs).
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TimeZone;
import org.apache.kafka.connect.data.*;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.storage.StringConverter;

public class JsonConverterGolden {
    static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    static String decimalFormat = "BASE64";
    static boolean replaceNull = true;

    static String json(boolean schemas, Schema schema, Object value) {
        JsonConverter converter = new JsonConverter();
        Map<String, Object> config = new HashMap<>();
        config.put("schemas.enable", String.valueOf(schemas));
        config.put("decimal.format", decimalFormat);
        config.put("replace.null.with.default", String.valueOf(replaceNull));
        converter.configure(config, false);
        try {
            byte[] bytes = converter.fromConnectData("t", schema, value);
            return bytes == null ? "<null>" : new String(bytes, StandardCharsets.UTF_8);
        } catch (Exception e) {
            return "! " + e.getMessage();
        }
    }

    static void check(String name, Schema schema, Object value) {
        StringConverter string = new StringConverter();
        string.configure(Map.of(), false);
        byte[] text = string.fromConnectData("t", schema, value);
        String shown = text == null ? "<null>" : new String(text, StandardCharsets.UTF_8)
            .replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t");
        OUT.print(name + "\t" + json(true, schema, value) + "\t" + json(false, schema, value) + "\t" + shown + "\n");
    }

    static Map<Object, Object> map(Object... pairs) {
        Map<Object, Object> result = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) result.put(pairs[i], pairs[i + 1]);
        return result;
    }

    static void primitives() {
        check("null", null, null);
        check("boolean", Schema.BOOLEAN_SCHEMA, true);
        check("int8", Schema.INT8_SCHEMA, (byte) -128);
        check("int16", Schema.INT16_SCHEMA, (short) 32767);
        check("int32", Schema.INT32_SCHEMA, Integer.MIN_VALUE);
        check("int64", Schema.INT64_SCHEMA, Long.MAX_VALUE);
        check("float32", Schema.FLOAT32_SCHEMA, 1.1f);
        check("float64", Schema.FLOAT64_SCHEMA, 1.1d);
        check("string", Schema.STRING_SCHEMA, "hello");
        check("bytes", Schema.BYTES_SCHEMA, new byte[] {0, 1, 2, (byte) 0xff});
        check("optional null", Schema.OPTIONAL_STRING_SCHEMA, null);
        check("optional value", Schema.OPTIONAL_INT64_SCHEMA, 5L);
        check("required null", Schema.INT32_SCHEMA, null);
    }

    static void strings() {
        String[] texts = {
            "", "quote \" backslash \\ slash /", "\b\t\n\f\r", "\u0000\u0001\u000b\u001f\u007f\u0080\u009f",
            "h\u00e9llo w\u00f6rld \u20ac", "\u2028\u2029\ufeff\uffff", "emoji \ud83d\ude00 clef \ud834\udd1e", "<>&'"
        };
        for (int i = 0; i < texts.length; i++) check("text " + i, Schema.STRING_SCHEMA, texts[i]);
    }

    static void numbers() {
        double[] doubles = {
            0.0, -0.0, 1.0, -1.5, 100.0, 123456.0, 1234567.0, 9999999.0, 1.0E7, 12345678.9, 0.001, 0.00099, 1.0E-5,
            123.456E10, 4.9E-324, 1.7976931348623157E308, 2.2250738585072014E-308, 0.1, 1.0 / 3, 2.0E-3,
            9007199254740993.0, 1.0E21, Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY
        };
        for (double d : doubles) check("double " + d, Schema.FLOAT64_SCHEMA, d);
        float[] floats = {
            0.0f, -0.0f, 1.0f, 1.0E7f, 9999999.0f, 0.001f, 1.0E-4f, 3.4028235E38f, 1.4E-45f, 0.1f, 16777216f,
            3.3f, 1.0E10f, Float.NaN, Float.NEGATIVE_INFINITY
        };
        for (float f : floats) check("float " + f, Schema.FLOAT32_SCHEMA, f);
    }

    static void schemas() {
        check("named", SchemaBuilder.string().name("com.example.Name").version(3).doc("a \"doc\"").build(), "x");
        check("parameters", SchemaBuilder.int32().parameter("zeta", "1").parameter("alpha", "2").build(), 7);
        check("default", SchemaBuilder.int32().defaultValue(42).build(), null);
        check("optional default", SchemaBuilder.string().optional().defaultValue("dflt").build(), null);
        replaceNull = false;
        check("optional default kept null", SchemaBuilder.string().optional().defaultValue("dflt").build(), null);
        replaceNull = true;
        check("array", SchemaBuilder.array(Schema.INT32_SCHEMA).build(), List.of(1, 2, 3));
        check("array empty", SchemaBuilder.array(Schema.OPTIONAL_STRING_SCHEMA).build(), List.of());
        check("array nulls", SchemaBuilder.array(Schema.OPTIONAL_STRING_SCHEMA).build(), Arrays.asList("a", null));
        check("map string", SchemaBuilder.map(Schema.STRING_SCHEMA, Schema.INT32_SCHEMA).build(), map("a", 1, "b", 2));
        check("map int", SchemaBuilder.map(Schema.INT32_SCHEMA, Schema.BOOLEAN_SCHEMA).build(), map(1, true, 2, false));
        check("map optional values", SchemaBuilder.map(Schema.STRING_SCHEMA, Schema.OPTIONAL_STRING_SCHEMA).optional().build(),
            map("k", null, "l", "v"));
        Schema inner = SchemaBuilder.struct().name("inner").field("x", Schema.INT8_SCHEMA)
            .field("y", Schema.OPTIONAL_FLOAT64_SCHEMA).optional().build();
        Schema outer = SchemaBuilder.struct().name("com.example.Outer").version(1).doc("outer")
            .field("id", Schema.INT64_SCHEMA).field("name", Schema.OPTIONAL_STRING_SCHEMA)
            .field("inner", inner).field("none", inner)
            .field("list", SchemaBuilder.array(inner).build())
            .field("raw", Schema.OPTIONAL_BYTES_SCHEMA)
            .field("level", SchemaBuilder.int16().defaultValue((short) 9).build()).build();
        Struct in = new Struct(inner).put("x", (byte) 1).put("y", 2.5);
        Struct in2 = new Struct(inner).put("x", (byte) 2);
        Struct out = new Struct(outer).put("id", 10L).put("name", "n\u00e9").put("inner", in).put("list", List.of(in, in2))
            .put("level", (short) 3);
        check("struct", outer, out);
    }

    static void logical() {
        check("date", Date.SCHEMA, Date.toLogical(Date.SCHEMA, 19000));
        check("time", Time.SCHEMA, Time.toLogical(Time.SCHEMA, 86399999));
        check("timestamp", Timestamp.SCHEMA, Timestamp.toLogical(Timestamp.SCHEMA, 1700000000123L));
        check("timestamp negative", Timestamp.builder().optional().build(), Timestamp.toLogical(Timestamp.SCHEMA, -1L));
        check("date default", Date.builder().defaultValue(Date.toLogical(Date.SCHEMA, 1)).build(), null);
        for (String format : List.of("BASE64", "NUMERIC")) {
            decimalFormat = format;
            String[] decimals = {"0", "0.00", "123.45", "-123.45", "1000", "-0.001", "0.0000001", "12345678901234567890.123", "-128", "128"};
            for (String d : decimals) {
                BigDecimal decimal = new BigDecimal(d);
                check("decimal " + format + " " + d, Decimal.schema(decimal.scale()), decimal);
            }
            check("decimal " + format + " negative scale", Decimal.schema(-3), new BigDecimal("12E3"));
            check("decimal " + format + " default", Decimal.builder(2).defaultValue(new BigDecimal("1.50")).build(), null);
        }
        decimalFormat = "BASE64";
    }

    static void schemaless() {
        check("schemaless string", null, "text");
        check("schemaless long", null, 12L);
        check("schemaless double", null, 1.5e10);
        check("schemaless boolean", null, false);
        check("schemaless map", null, map("position", 30L, "name", "\u00e9\"", "none", null, "list", Arrays.asList(1L, "a", null)));
        check("schemaless list", null, Arrays.asList("local-file-source", map("filename", "test.txt")));
    }

    public static void main(String[] args) {
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
        primitives();
        strings();
        numbers();
        schemas();
        logical();
        schemaless();
    }
}
