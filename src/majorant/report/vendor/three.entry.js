// The parts of three.js that the interactive page uses; README.md says how they are bundled.
export {
  AmbientLight,
  BufferAttribute,
  BufferGeometry,
  CanvasTexture,
  ColorManagement,
  DirectionalLight,
  LinearSRGBColorSpace,
  Mesh,
  MeshLambertMaterial,
  OrthographicCamera,
  Raycaster,
  Scene,
  Spherical,
  Sprite,
  SpriteMaterial,
  Vector2,
  Vector3,
  WebGLRenderer,
} from "three";
export { OrbitControls } from "three/addons/controls/OrbitControls.js";
export { LineMaterial } from "three/addons/lines/LineMaterial.js";
export { LineSegments2 } from "three/addons/lines/LineSegments2.js";
export { LineSegmentsGeometry } from "three/addons/lines/LineSegmentsGeometry.js";
