import java.io.FileWriter;
import java.time.Duration;
import java.util.Collections;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The Java client's part: fills the topic, or is a member of a group that writes down what it reads before it commits.
 * Compiled with the oldest client, run with any.
 *
 * Member produce PORT TOPIC KEYS EACH [name=value…]
 * Member consume PORT TOPIC FILE [name=value…]
 */
public class Member {
    private static final int POLL_RECORDS = 500;

    public static void main(String[] arguments) throws Exception {
        Properties config = new Properties();
        config.put("bootstrap.servers", "127.0.0.1:" + arguments[1]);
        for (int at = arguments[0].equals("produce") ? 5 : 4; at < arguments.length; at++) {
            String[] pair = arguments[at].split("=", 2);
            config.put(pair[0], pair[1]);
        }
        if (arguments[0].equals("produce")) {
            produce(config, arguments[2], Integer.parseInt(arguments[3]), Integer.parseInt(arguments[4]));
        } else {
            consume(config, arguments[2], arguments[3]);
        }
    }

    private static void produce(Properties config, String topic, int keys, int each) {
        config.put("acks", "all");
        config.put("enable.idempotence", "true");
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            for (int number = 0; number < each; number++) {
                for (int key = 0; key < keys; key++) {
                    producer.send(new ProducerRecord<>(topic, "k" + key, "" + number), (metadata, error) -> {
                        if (error != null) {
                            error.printStackTrace();
                            Runtime.getRuntime().halt(1);
                        }
                    });
                }
            }
        }
    }

    private static void consume(Properties config, String topic, String file) throws Exception {
        config.put("enable.auto.commit", "false");
        config.put("auto.offset.reset", "earliest");
        config.put("max.poll.records", "" + POLL_RECORDS);
        FileWriter out = new FileWriter(file);
        try (KafkaConsumer<String, String> consumer =
                new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(Collections.singletonList(topic));
            while (true) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
                if (records.isEmpty()) {
                    continue;
                }
                for (ConsumerRecord<String, String> record : records) {
                    out.write(record.partition() + " " + record.offset() + " " + record.key() + " " + record.value() + "\n");
                }
                out.flush();
                // Slow enough to be killed half-way.
                Thread.sleep(20);
                consumer.commitSync();
            }
        }
    }
}
