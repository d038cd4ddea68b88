import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.h2.H2Backend;

/** Serves a file at a port of this machine, and says so. */
public class Main {
    public static void main(String[] arguments) {
        new MongoServer(new H2Backend(arguments[0])).bind("127.0.0.1", Integer.parseInt(arguments[1]));
        System.out.println("ready");
    }
}
